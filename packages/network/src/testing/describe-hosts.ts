import { describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { AttachMode } from './cluster.ts'

interface Named {
  readonly title: string
  /** `import.meta.url` of the test file. */
  readonly file: string
}

/** Describes tests that need a machine of their own: the file runs a second time, in new namespaces, and only there `tests` is called. */
export function describeAlone({ title, file }: Named, tests: () => void): void {
  if (!isInNamespaces()) {
    describe(title, () => {
      it('passes in namespaces of its own', () => runInNamespaces(file))
    })
    return
  }
  isolateHost()
  describe(title, tests)
}

/** As {@link describeAlone}, for hosts whose uplinks have their programs in tcx, and then in XDP. */
export function describeHosts(named: Named, tests: (attach: AttachMode) => void): void {
  describeAlone(named, () => {
    for (const attach of ['tcx', 'xdp'] as const) describe(attach, () => tests(attach))
  })
}
