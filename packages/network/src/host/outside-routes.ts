import { HOST_DEVICE } from './host-plan.ts'
import { runCommand } from './run-command.ts'
import { OUTSIDE_MAC } from '../layouts/layouts.ts'

/** Routes of what this machine's own processes ask of Services by addresses outside of the cluster, such as a load balancer's. */
const OUTSIDE_TABLE = 52_737
/** Before the main table, after the machine's own addresses. */
const RULE_PRIORITY = 20_737
/** Next hop of these routes. By its MAC address the program at {@link HOST_DEVICE} knows what has to leave when it is for no port of a Service. */
const OUTSIDE_GATEWAY = '169.254.1.2'
export const OUTSIDE_RULE = `priority ${RULE_PRIORITY} iif lo lookup ${OUTSIDE_TABLE}`

export interface OutsideRoutes {
  readonly addresses: readonly string[]
  /** The node's own address: nodes of backends answer to it. */
  readonly source: string
}

interface SeenRoute {
  readonly dst: string
  readonly prefsrc?: string
}

/**
 * Leads packets of this machine's own processes for these addresses to the pods' network, and no others any more. Packets that it forwards go as before. While there is no
 * address there is no rule either: a rule makes every look for a route a little slower. Idempotent. Needs root and the host's device. Rejects with what failed.
 */
export async function setOutsideRoutes({ addresses, source }: OutsideRoutes): Promise<void> {
  const hasRule = (await runCommand(['ip', 'rule', 'show', 'priority', String(RULE_PRIORITY)])).trim() !== ''
  const lines = planOutsideRoutes(hasRule ? await listRoutes() : [], { addresses, source })
  if (addresses.length > 0 && !hasRule) lines.push(`rule add ${OUTSIDE_RULE}`)
  if (addresses.length === 0 && hasRule) lines.unshift(`rule del ${OUTSIDE_RULE}`)
  if (lines.length > 0) await runCommand(['ip', '-batch', '-'], `${lines.join('\n')}\n`)
}

async function listRoutes(): Promise<SeenRoute[]> {
  return JSON.parse(await runCommand(['ip', '-json', 'route', 'show', 'table', String(OUTSIDE_TABLE)])) as SeenRoute[]
}

/** Lines for `ip -batch`; none when all is right. Pure. */
export function planOutsideRoutes(seen: readonly SeenRoute[], { addresses, source }: OutsideRoutes): string[] {
  const wanted = new Set(addresses)
  const right = new Set(seen.filter(({ dst, prefsrc }) => wanted.has(dst) && prefsrc === source).map(({ dst }) => dst))
  const missing = [...wanted].filter((address) => !right.has(address))
  const stale = seen.filter(({ dst }) => !wanted.has(dst))
  return [
    ...(missing.length === 0
      ? []
      : [`neigh replace ${OUTSIDE_GATEWAY} lladdr ${OUTSIDE_MAC} dev ${HOST_DEVICE} nud permanent`]),
    ...missing.map(
      (address) =>
        `route replace ${address}/32 via ${OUTSIDE_GATEWAY} dev ${HOST_DEVICE} onlink src ${source} table ${OUTSIDE_TABLE}`,
    ),
    ...stale.map(({ dst }) => `route del ${dst} table ${OUTSIDE_TABLE}`),
  ]
}
