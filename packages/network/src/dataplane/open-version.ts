import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { CarryOver, OtherTables } from './carry-over.ts'
import { HostState } from './host-state.ts'
import { openPrograms, type OpenPrograms } from './open-programs.ts'
import type { PinnedVersions } from './pinned-versions.ts'

/** What is left to be done for flows when packets come to the new programs. */
export interface Handover {
  /** Right before the first program is replaced. */
  prepare(): void
  /** After the last one was. */
  finish(): void
  /** Idempotent. */
  close(): void
}

interface VersionOptions {
  readonly programs: string
  readonly flowsMax?: number
  readonly onStep?: (step: string) => void
}

export interface OpenVersion {
  readonly programs: OpenPrograms
  /** Undefined: packets see these tables already, or nothing was there that they could see. */
  readonly handover: Handover | undefined
}

/** Loads the programs, with tables that are pinned or new, and with what can be carried over of other versions' tables. */
export function openVersion(versions: PinnedVersions, options: VersionOptions): OpenVersion {
  const others = versions.listOthers().map((dir) => new OtherTables(dir))
  try {
    if (others.length === 0) return { programs: load(versions.own, options), handover: undefined }
    if (versions.hasOwn) return goOn(versions, { ...options, others })
    if (others[0]?.isReadable === true) return begin(versions, { ...options, others })
  } catch (error) {
    for (const other of others) other.close()
    throw error
  }
  for (const other of others) other.close()
  const programs = load(versions.own, options)
  options.onStep?.(
    'What another version left says nothing of its tables: pods have no network until the new ones are filled',
  )
  versions.dropOthers()
  return { programs, handover: undefined }
}

function load(
  dir: string,
  { programs, flowsMax, shared }: VersionOptions & { readonly shared?: Map<string, number> },
): OpenPrograms {
  return openPrograms({
    folder: programs,
    pinDir: join(dir, 'maps'),
    ...(shared === undefined ? {} : { shared }),
    ...(flowsMax === undefined ? {} : { maxEntries: new Map([['ct', flowsMax]]) }),
  })
}

type FromOthers = VersionOptions & { readonly others: readonly OtherTables[] }

/** The tables are filled beside those of the others; a crash before they are whole makes the next start begin again. */
function begin(versions: PinnedVersions, options: FromOthers): OpenVersion {
  const { others, onStep } = options
  const programs = load(versions.unfinished, { ...options, shared: others[0]!.listShareable() })
  try {
    onStep?.('Loaded the programs beside those of another version')
    const carries = others.map((other) => new CarryOver(other, programs))
    const left = carries[0]!.copyPlan()
    if (left.includes('pods')) judgeAgain(programs)
    for (const group of left) onStep?.(`Tables of ${group} are of another kind: they are filled anew`)
    for (const name of carries[0]!.listLostFlows()) onStep?.(`Table ${name} is of another kind: its flows begin anew`)
    carries[0]!.refreshFlows()
    onStep?.('Copied the tables')
    return { programs, handover: createHandover(carries, options) }
  } catch (error) {
    programs.close()
    throw error
  }
}

/** An earlier start filled the tables and may have begun to replace programs. */
function goOn(versions: PinnedVersions, options: FromOthers): OpenVersion {
  const programs = load(versions.own, options)
  options.onStep?.('Goes on with what an earlier start began')
  const carries = options.others.map((other) => new CarryOver(other, programs))
  return { programs, handover: createHandover(carries, { ...options, hasBegun: true }) }
}

function createHandover(
  carries: readonly CarryOver[],
  { others, onStep, hasBegun = false }: FromOthers & { readonly hasBegun?: boolean },
): Handover {
  let isOpen = true
  return {
    prepare() {
      if (!hasBegun) carries[0]?.refreshFlows()
    },
    finish() {
      const late = carries.reduce((sum, carry) => sum + carry.finishFlows(), 0)
      onStep?.(`Carried over what flows wrote meanwhile: ${late}`)
    },
    close() {
      if (isOpen) for (const other of others) other.close()
      isOpen = false
    },
  }
}

/** Policy sets get other numbers: what flows say of who judged them must fit none of the new ones. */
function judgeAgain(programs: OpenPrograms): void {
  const state = new HostState(programs.map('.data.state').fd)
  state.beginEpochsAt(randomInt(2 ** 32))
  state.close()
}
