import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHome, type Home } from './home.ts'
import { formatRoles, parseRoles, type PartitionSettings } from './settings.ts'
import { UserError } from './user-error.ts'

/** Whoever has them is the cluster: its certificate authority, and the key that signs tokens. The same in all partitions. */
const SHARED_FILES = ['ca.crt', 'ca.key', 'sa.key'] as const
const SECRET_MODE = 0o600
const VERSION = 1

/** What another machine needs to run a partition of this cluster. A secret. */
export interface JoinBundle {
  readonly partition: PartitionSettings
  /** By file name in the `pki` folder. */
  readonly files: Readonly<Record<string, string>>
}

/** Gives a home within the cluster the same authority. Files that are there stay. */
export function shareAuthority(from: Home, to: Home): void {
  createHome(to)
  for (const file of SHARED_FILES) {
    if (!existsSync(join(to.pkiDir, file))) copyFileSync(join(from.pkiDir, file), join(to.pkiDir, file))
  }
}

/** Writes a bundle that only its owner may read. */
export function writeJoinBundle(file: string, home: Home, partition: PartitionSettings): void {
  const files = Object.fromEntries(SHARED_FILES.map((name) => [name, readFileSync(join(home.pkiDir, name), 'utf8')]))
  const bundle = { version: VERSION, partition: { ...partition, roles: formatRoles(partition.roles) }, files }
  writeFileSync(file, `${JSON.stringify(bundle, undefined, 2)}\n`, { mode: SECRET_MODE })
}

/** Reads a bundle. Throws {@link UserError}. */
export function readJoinBundle(file: string): JoinBundle {
  let raw: { version?: unknown; partition?: Record<string, unknown>; files?: Record<string, unknown> }
  try {
    raw = JSON.parse(readFileSync(file, 'utf8')) as typeof raw
  } catch (cause) {
    throw new UserError(
      `Cannot read the join bundle ${file}: ${(cause as Error).message}. ./centaurus partition add NAME --join-bundle FILE writes one where the home of the cluster is`,
      { cause },
    )
  }
  const { partition, files } = raw
  const isWhole = SHARED_FILES.every((name) => typeof files?.[name] === 'string')
  if (raw.version !== VERSION || typeof partition?.['name'] !== 'string' || !isWhole) {
    throw new UserError(`Cannot use ${file}: it is not a bundle that ./centaurus partition add --join-bundle wrote`)
  }
  const { roles, homeEndpoints, serviceRange, index } = partition
  return {
    partition: {
      name: partition['name'],
      roles: parseRoles(String(roles)),
      homeEndpoints: (homeEndpoints as unknown[]).map(String),
      serviceRange: serviceRange === undefined ? undefined : String(serviceRange),
      index: Number(index),
    },
    files: files as Record<string, string>,
  }
}

/** Puts the bundle's keys where the control plane looks for them. Throws {@link UserError} when others are there. */
export function applyJoinBundle(home: Home, bundle: JoinBundle): void {
  mkdirSync(home.pkiDir, { recursive: true, mode: 0o700 })
  for (const name of SHARED_FILES) {
    const path = join(home.pkiDir, name)
    const text = bundle.files[name]!
    if (!existsSync(path)) writeFileSync(path, text, { mode: SECRET_MODE })
    else if (readFileSync(path, 'utf8') !== text) {
      throw new UserError(
        `Cannot join the cluster: ${path} is another cluster's. Use another home: CENTAURUS_HOME=~/other`,
      )
    }
  }
}
