import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** As much of a config.json as the fields change. */
export interface Config {
  process: Record<string, unknown> & { args: readonly string[] }
  root: { path: string; readonly?: boolean }
  mounts: Mount[]
  linux: Record<string, unknown>
  [field: string]: unknown
}

export interface Mount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options?: readonly string[]
}

/** A field of config.json, and how a container tells what became of it. */
export interface Field {
  readonly name: string
  /** What there is on the host: in `rootfs`, and in `host`, which no container sees by itself. */
  readonly prepare?: (folders: { readonly rootfs: string; readonly host: string }) => void
  readonly change: (config: Config, folders: { readonly host: string }) => void
  /** Shell commands in the container; what they print must be the same in runc and in quark. */
  readonly script: string
  /** Where quark is not to do as runc does: what it prints instead, and why. */
  readonly differs?: Difference
}

export interface Difference {
  readonly prints: RegExp
  readonly because: string
}

/** Sets members of `process`. */
export function setProcess(fields: object): Field['change'] {
  return (config) => void Object.assign(config.process, fields)
}

/** Sets members of `linux`. */
export function setLinux(fields: object): Field['change'] {
  return (config) => void Object.assign(config.linux, fields)
}

/** Adds a mount; HOST in its source is what {@link tree} makes on the host. */
export function addMount(destination: string, type: string, source: string, ...options: string[]): Field['change'] {
  return (config, { host }) =>
    void config.mounts.push({ destination, type, source: source.replace(/^HOST/, host), options })
}

/** Makes files that have their name as content, and folders where it ends with a slash: in the root where it starts with one, else on the host. */
export function tree(...names: string[]): NonNullable<Field['prepare']> {
  return ({ rootfs, host }) => {
    for (const name of names) {
      const path = name.startsWith('/') ? join(rootfs, name) : join(host, name)
      if (name.endsWith('/')) mkdirSync(path, { recursive: true })
      else {
        mkdirSync(join(path, '..'), { recursive: true })
        writeFileSync(path, `${name}\n`)
      }
    }
  }
}
