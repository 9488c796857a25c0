import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildPrograms } from '../kernel/build-programs.ts'

/** Another version of this software, with other records in its tables: a copy of the sources in which some lines are others. */

const REPOSITORY = join(import.meta.dirname, '../../../..')
const LAYOUTS = 'packages/network/src/layouts'

/** What a version changes: a file (of the layouts, or one that is named by its path in the repository), a line of it, and what stands there instead. */
export type Edit = readonly [file: string, before: string, after: string]

/** Records that only daemons write. */
export const OTHER_ENDPOINT: readonly Edit[] = [
  ['layouts.ts', "struct('endpoint', {\n", "struct('endpoint', {\n  extra: padding(4),\n"],
]
const CONNTRACK = 'bpf/conntrack.h'
/** And those that programs write: new fields, wider ones, and keys with room for addresses of IPv6. */
export const OTHER_FLOWS: readonly Edit[] = [
  ...OTHER_ENDPOINT,
  [
    'layouts.ts',
    'vni: bits(24),\n  protocol: bits(8),\n  low: ipv4,\n  high: ipv4,',
    'vni: u32, low: address, high: address,',
  ],
  ['layouts.ts', 'highPort: u16,\n', 'highPort: u16, protocol: u8, pad: padding(3),\n'],
  [
    CONNTRACK,
    'key->low = low ? flow->source : flow->destination',
    'key->low = address_of(low ? flow->source : flow->destination)',
  ],
  [
    CONNTRACK,
    'key->high = low ? flow->destination : flow->source',
    'key->high = address_of(low ? flow->destination : flow->source)',
  ],
  [CONNTRACK, 'key->vni = flow->vni;', '__builtin_memset(key, 0, sizeof(*key)); key->vni = flow->vni;'],
  ['layouts.ts', 'egressSet: u16,\n  ingressSet: u16,', 'egressSet: u32,\n  ingressSet: u32,'],
  ['layouts.ts', "struct('ct_entry', {\n", "struct('ct_entry', {\n  extra: padding(4),\n"],
  ['layouts.ts', 'flags: u16,\n  state: u8,\n  pad: padding(1)', 'flags: u32,\n  state: u8,\n  pad: padding(3)'],
  ['layouts.ts', "struct('fragment', {", "struct('fragment', { extra: padding(4),"],
  ['services.ts', "struct('service_flow', {\n", "struct('service_flow', {\n  extra: padding(4),\n"],
  ['services.ts', "struct('service_client', {", "struct('service_client', { extra: padding(4),"],
]

export interface OtherVersion {
  /** Its own copy of this file's folder. */
  readonly testing: string
  /** Its compiled programs. */
  readonly programs: string
  remove(): void
}

/** `objects`: cache of compiled programs. */
export async function createOtherVersion(edits: readonly Edit[], objects: string): Promise<OtherVersion> {
  mkdirSync(join(REPOSITORY, 'build'), { recursive: true })
  const root = mkdtempSync(join(REPOSITORY, 'build/other-version-')) // below node_modules' folder, whose packages it uses too
  for (const folder of ['bpf', 'packages/network/src'])
    cpSync(join(REPOSITORY, folder), join(root, folder), { recursive: true })
  for (const edit of edits) change(root, edit)
  execFileSync(process.execPath, [join(root, LAYOUTS, 'write.ts')])
  return {
    testing: join(root, 'packages/network/src/testing'),
    programs: await buildPrograms({ outDir: objects, sources: join(root, 'bpf') }),
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

function change(root: string, [file, before, after]: Edit): void {
  const path = join(root, file.includes('/') ? file : join(LAYOUTS, file))
  const text = readFileSync(path, 'utf8')
  if (!text.includes(before)) throw new Error(`There is no ${before} in ${file}`)
  writeFileSync(path, text.replace(before, after))
}
