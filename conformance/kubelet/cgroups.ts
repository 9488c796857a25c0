import { existsSync, globSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const CGROUPS = '/sys/fs/cgroup'
/** A new group of this controller of version 1 has no processor and no memory until it is told. */
const CPUSET_FILES = ['cpuset.cpus', 'cpuset.mems']

/** Makes a group in every hierarchy, for a kubelet to put its own below. */
export function makeCgroups(name: string): void {
  for (const hierarchy of hierarchies()) {
    const group = join(hierarchy, name)
    mkdirSync(group, { recursive: true })
    if (!hierarchy.endsWith('/cpuset')) continue
    for (const file of CPUSET_FILES) writeFileSync(join(group, file), readFileSync(join(hierarchy, file)))
  }
}

/** Removes it with all below; false when one has a process yet. */
export function removeCgroups(name: string): boolean {
  const roots = hierarchies().map((hierarchy) => join(hierarchy, name))
  const groups = roots.flatMap((root) => [root, ...globSync(`${root}/**/`).map((path) => path.replace(/\/$/, ''))])
  for (const group of [...new Set(groups)].toSorted((a, b) => b.length - a.length)) {
    try {
      rmdirSync(group)
    } catch {
      // its last process is about to end, or it was never there
    }
  }
  return roots.every((root) => !existsSync(root))
}

function hierarchies(): string[] {
  return globSync(`${CGROUPS}/*/`).map((path) => path.replace(/\/$/, ''))
}
