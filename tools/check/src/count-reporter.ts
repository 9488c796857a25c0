import type { TestEvent } from 'node:test/reporters'

/** What one test process counted. Files that could not run at all count as a failure of one. */
export interface TestCounts {
  passed: number
  failed: number
  skipped: number
  /** Where each failure is and what it said, for whoever reads the end of a long output. */
  failures?: string[]
}

/** A `node --test` reporter that prints one JSON line: {@link TestCounts} over the leaves (suites are not counted). */
// The test runner asks for a default export.
// oxlint-disable-next-line import/no-default-export
export default async function* countReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 }
  for await (const event of source) {
    if (event.type === 'test:pass') {
      if (event.data.details.type === 'suite') continue
      if (event.data.skip !== undefined && event.data.skip !== false) counts.skipped++
      else counts.passed++
    }
    if (
      event.type === 'test:fail' &&
      (event.data.details.type !== 'suite' || !isChildFailure(event.data.details.error))
    ) {
      counts.failed++
      counts.failures = [...(counts.failures ?? []), describe(event.data)]
    }
  }
  yield `${JSON.stringify(counts)}\n`
}

function describe({ name, file, line, details }: Extract<TestEvent, { type: 'test:fail' }>['data']): string {
  const cause: unknown = details.error.cause ?? details.error
  const where = file === undefined ? '' : `${file}:${line ?? 0} `
  return `${where}${name}\n${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`
}

/** A suite that fails only because a test in it failed was counted already. */
function isChildFailure(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'failureType' in error && error.failureType === 'subtestsFailed'
}
