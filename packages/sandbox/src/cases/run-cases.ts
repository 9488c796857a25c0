import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { quarkFolder } from '../binaries.ts'
import { runCargo } from '../cargo.ts'
import { runContainer } from './container.ts'
import { parseTranscript, type CaseResult } from './transcript.ts'

const TARGET = 'x86_64-unknown-linux-gnu'
/** For the container; each case has ten seconds of its own. */
const CONTAINER_MS = 10_000
const CASE_MS = 1_000
const STALLED_MS_MIN = 15_000

/** Builds the guests and returns the binary's absolute path. Throws {@link QuarkBuildError}. */
export async function buildGuests(options: {
  readonly cargo: string
  readonly report: (line: string) => void
}): Promise<string> {
  const targetDir = join(quarkFolder(), 'target')
  await runCargo(['build', '--release', '--locked', '--package', 'quark-guests'], { ...options, targetDir })
  return join(targetDir, TARGET, 'release/guests')
}

/** The names of all cases, as `area::case`. Needs no container. */
export function listCases(guests: string): string[] {
  return execFileSync(guests, ['--list'], { encoding: 'utf8' }).trim().split('\n')
}

export interface RunCasesOptions {
  readonly runtime: string
  readonly guests: string
  readonly cases: readonly string[]
}

/**
 * Runs cases in one container and returns what each printed. When the container ends in the middle of a case (its kernel died, or hung), that case ends
 * with `the container died` and the rest goes on in the next container; so each case has a result.
 */
export async function runCases({ runtime, guests, cases }: RunCasesOptions): Promise<Map<string, CaseResult>> {
  const results = new Map<string, CaseResult>()
  let left = [...cases]
  while (left.length > 0) {
    const timeoutMs = Math.max(CONTAINER_MS + left.length * CASE_MS, STALLED_MS_MIN)
    const { output, status } = await runContainer({ runtime, guests, args: left, timeoutMs })
    const transcript = parseTranscript(output)
    for (const [name, result] of transcript.results) results.set(name, result)
    const culprit = transcript.unfinished?.name ?? left.find((name) => !results.has(name))
    if (culprit !== undefined && !results.has(culprit)) {
      const said =
        transcript.unfinished?.lines ??
        output
          .split('\n')
          .filter((line) => line !== '')
          .slice(-10)
      results.set(culprit, {
        lines: said,
        ending: status === undefined ? 'the container hung' : `the container died with status ${status}`,
      })
    }
    left = left.filter((name) => !results.has(name))
  }
  return results
}
