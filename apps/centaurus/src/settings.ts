import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Home } from './home.ts'
import { EMBEDDED, parseStoreSetting, type StoreSetting } from './store-setting.ts'
import { UserError } from './user-error.ts'

/** What kind of nodes `up` starts. */
export type NodesSetting =
  /** One node agent for this machine, with real containers. */
  | { readonly type: 'local' }
  /** So many simulated nodes in one process. */
  | { readonly type: 'simulated'; readonly count: number }
  /** None: nodes join by themselves. */
  | { readonly type: 'none' }

/** How this cluster was set up; kept, so that `down` and `up` give the same one. */
export interface Settings {
  readonly port: number
  readonly nodes: NodesSetting
  readonly store: StoreSetting
}

/** Nodes in one process of simulated nodes; more than this is a job for several machines. */
export const SIMULATED_NODES_MAX = 5_000

export const DEFAULT_SETTINGS: Settings = { port: 6443, nodes: { type: 'local' }, store: EMBEDDED }

/** Reads `local`, `none` or `simulated:N`. Throws {@link UserError}. */
export function parseNodes(text: string): NodesSetting {
  if (text === 'local' || text === 'none') return { type: text }
  const count = /^simulated:(\d{1,6})$/.exec(text)?.[1]
  if (count === undefined || Number(count) < 1 || Number(count) > SIMULATED_NODES_MAX) {
    throw new UserError(
      `Cannot use --nodes "${text}": it must be local, none or simulated:N with N from 1 to ${SIMULATED_NODES_MAX}`,
    )
  }
  return { type: 'simulated', count: Number(count) }
}

/** Inverse of {@link parseNodes}. */
export function formatNodes(nodes: NodesSetting): string {
  return nodes.type === 'simulated' ? `simulated:${nodes.count}` : nodes.type
}

/** Reads a port number. Throws {@link UserError}. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new UserError(`Cannot use --port "${text}": it must be a number from 1 to 65535`)
  }
  return port
}

/** Reads a whole number. Throws {@link UserError}. */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UserError(`Cannot use "${text}": it must be a whole number`)
  return Number(text)
}

/** Undefined when no cluster was set up in this home. Throws {@link UserError} when the file is damaged. */
export function readSettings(home: Home): Settings | undefined {
  if (!existsSync(home.settings)) return undefined
  try {
    const raw = JSON.parse(readFileSync(home.settings, 'utf8')) as Record<string, unknown>
    return {
      port: parsePort(String(raw['port'])),
      nodes: parseNodes(String(raw['nodes'])),
      store: parseStoreSetting(raw['store']),
    }
  } catch (cause) {
    throw new UserError(
      `Cannot read ${home.settings}: ${(cause as Error).message}. Delete the file and run ./centaurus up again`,
      { cause },
    )
  }
}

/** Replaces the file in one step. */
export function writeSettings(home: Home, settings: Settings): void {
  const draft = `${home.settings}.new`
  const { port, nodes, store } = settings
  const raw = { port, nodes: formatNodes(nodes), ...(store.engine === 'embedded' ? {} : { store }) }
  writeFileSync(draft, `${JSON.stringify(raw, undefined, 2)}\n`)
  renameSync(draft, home.settings)
}
