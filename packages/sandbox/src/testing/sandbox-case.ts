import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo, QUARK_SOURCES } from '../cargo.ts'
import { buildGuests, listCases, runCases } from '../cases/run-cases.ts'
import { diffCase, parseDiffering, type CaseResult } from '../cases/transcript.ts'

const USAGE = `npm run sandbox-case -- [NAME…] [--list] [--native] [--quiet]

Runs cases of quark/guests natively (with runc) and in quark, and shows what differs. A NAME that ends with :: is all of an area; no name is all.
  --list     names the cases
  --native   runs natively only, and prints the output
  --quiet    one line a case

QUARK_BINARY and GUESTS_BINARY name binaries that are there already; RUNC another native runtime.
`

/** Compares cases and prints the differences; the exit status is 1 when a case differs that differing.txt does not name. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      native: { type: 'boolean' },
      quiet: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) return say(USAGE)
  const guests = process.env['GUESTS_BINARY'] ?? (await build('guests'))
  const all = listCases(guests)
  if (values.list === true) return say(`${all.join('\n')}\n`)
  const unknown = positionals.find((name) => !all.some((one) => isMeant(name, one)))
  if (unknown !== undefined) {
    process.stderr.write(`No case is named "${unknown}"; see --list\n`)
    return 2
  }
  const cases = all.filter((one) => positionals.length === 0 || positionals.some((name) => isMeant(name, one)))
  const native = await runCases({ runtime: process.env['RUNC'] ?? 'runc', guests, cases })
  if (values.native === true) {
    for (const [name, { lines, ending }] of native)
      say(`${name}\n${lines.map((line) => `  ${line}\n`).join('')}  ${ending}\n`)
    return 0
  }
  const quark = await runCases({ runtime: process.env['QUARK_BINARY'] ?? (await build('quark')), guests, cases })
  return report({ native, quark, quiet: values.quiet === true })
}

/** A name is a case's own, or its area's with `::` behind it. */
function isMeant(name: string, one: string): boolean {
  return one === name || (name.endsWith('::') && one.startsWith(name))
}

function report(options: {
  readonly native: ReadonlyMap<string, CaseResult>
  readonly quark: ReadonlyMap<string, CaseResult>
  readonly quiet: boolean
}): number {
  const file = join(QUARK_SOURCES, 'guests/differing.txt')
  const differing = parseDiffering(existsSync(file) ? readFileSync(file, 'utf8') : '')
  let failed = 0
  let same = 0
  for (const [name, result] of options.native) {
    const diff = diffCase(result, options.quark.get(name))
    const reason = differing.get(name)
    if (diff.length === 0) same++
    if ((diff.length === 0) === (reason !== undefined)) failed++
    const why = reason === undefined ? '' : ` (differing.txt: ${reason})`
    if (options.quiet || diff.length > 0) say(`${diff.length === 0 ? 'same   ' : 'differs'} ${name}${why}\n`)
    if (!options.quiet) say(diff.map((line) => `    ${line}\n`).join(''))
  }
  say(`${same} of ${options.native.size} cases are the same; ${failed} are not what differing.txt says\n`)
  return failed === 0 ? 0 : 1
}

async function build(what: 'guests' | 'quark'): Promise<string> {
  const cargo = await findCargo()
  if (cargo.path === undefined) throw new Error(`Cannot build ${what}: ${cargo.why}`)
  const note = (line: string): void => void process.stderr.write(`${line}\n`)
  if (what === 'guests') return buildGuests({ cargo: cargo.path, report: note })
  return buildQuark({ outDir: quarkFolder(), cargo, report: note })
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

process.exitCode = await main()
