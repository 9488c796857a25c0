import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isRecord } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import { EMPTY_PROFILE, type JobProfile } from './core/job-profile.ts'

/** Types of jobs that are remembered; those not seen for longest go. */
const TYPES_MAX = 256
const VERSION = 1

/** What is known of types of jobs, in a file that outlives the process. */
export class ProfileBook {
  readonly #file: string
  /** Last seen last. */
  readonly #profiles: Map<string, JobProfile>
  #changed = false

  /** What can't be read is forgotten. */
  constructor(file: string, logger: Logger) {
    this.#file = file
    this.#profiles = new Map(read(file, logger).slice(-TYPES_MAX))
  }

  get(type: string): JobProfile {
    return this.#profiles.get(type) ?? EMPTY_PROFILE
  }

  change(type: string, change: (profile: JobProfile) => JobProfile): void {
    const next = change(this.get(type))
    this.#profiles.delete(type)
    this.#profiles.set(type, next)
    const [oldest] = this.#profiles.keys()
    if (this.#profiles.size > TYPES_MAX && oldest !== undefined) this.#profiles.delete(oldest)
    this.#changed = true
  }

  /** Writes the file, in one step, if there is something new. Throws what the file system says. */
  save(): void {
    if (!this.#changed) return
    writeFileSync(`${this.#file}.new`, JSON.stringify({ version: VERSION, profiles: [...this.#profiles] }))
    renameSync(`${this.#file}.new`, this.#file)
    this.#changed = false
  }
}

function read(file: string, logger: Logger): [string, JobProfile][] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return [] // the first start
  }
  try {
    const value: unknown = JSON.parse(text)
    if (!isRecord(value) || value['version'] !== VERSION || !Array.isArray(value['profiles']))
      throw new SyntaxError('unknown version')
    return value['profiles'].filter(isEntry)
  } catch (error) {
    logger.warn('Could not read what is known of GPU jobs; learning anew', { file, error })
    return []
  }
}

function isEntry(entry: unknown): entry is [string, JobProfile] {
  if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !isRecord(entry[1])) return false
  const { compute, memory, held, refused, kinds, periodSeconds, alone, beside } = entry[1]
  return (
    [compute, memory].every((counts) => Array.isArray(counts) && counts.length <= 256 && counts.every(isAmount)) &&
    [held, refused, periodSeconds ?? 0].every(isAmount) &&
    isRecord(kinds) &&
    Object.values(kinds).every(isAmount) &&
    isRecord(beside) &&
    [alone, ...Object.values(beside)].every(
      (work) => isRecord(work) && isAmount(work['seconds']) && isAmount(work['launches']),
    )
  )
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
