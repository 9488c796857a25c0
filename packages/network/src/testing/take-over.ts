/** Run as a program: a daemon that takes over a host, plans everything anew, and ends; or is killed at one of the steps. Prints its steps. */
import { createDataplane, type DataplaneOptions } from '../dataplane/create-dataplane.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { allowPorts, DENY_ALL, OPEN, policySet } from './policy-sets.ts'

export const CLIENT_IDENTITY = 256
export const SERVER_IDENTITY = 258
const FIRST_PORT = 7000
const LAST_PORT = 7099

export interface TakeOverOrders {
  readonly dataplane: DataplaneOptions
  readonly frontends: readonly ServiceFrontend[]
  /** Counts steps from 1 on; absent: to the end. */
  readonly killAt?: number
}

const PORTS = allowPorts(
  (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, firstPort: FIRST_PORT, lastPort: LAST_PORT })),
)

/** Policies under which answers pass only as a part of flows that are known. */
export function policyOf(identity: number): PolicySet {
  if (identity === CLIENT_IDENTITY)
    return policySet({ ingress: { others: DENY_ALL }, egressOfPeers: new Map([[SERVER_IDENTITY, DENY_ALL]]) })
  if (identity !== SERVER_IDENTITY) return OPEN
  return policySet({
    ingress: { byIdentity: new Map([[CLIENT_IDENTITY, PORTS]]), others: DENY_ALL },
    egress: { isolated: true, toPods: DENY_ALL, outside: { others: DENY_ALL, cidrs: [] } },
  })
}

/** As a daemon does: all sets are new ones, and those that were there go. */
function planAnew(dataplane: Dataplane, frontends: readonly ServiceFrontend[]): void {
  for (const { policySet: before, ...endpoint } of dataplane.listEndpoints()) {
    const set = { ...policyOf(endpoint.identity), key: `${endpoint.ip} ${process.pid}` }
    dataplane.setEndpoint({ ...endpoint, policySet: dataplane.addPolicySet(set) })
    if (!dataplane.listEndpoints().some((other) => other.policySet === before)) dataplane.removePolicySet(before)
  }
  dataplane.applyServices({ frontends })
}

function takeOver({ dataplane: options, frontends, killAt }: TakeOverOrders): void {
  let steps = 0
  const onStep = (step: string): void => {
    process.stdout.write(`${step}\n`)
    if (++steps === killAt) process.kill(process.pid, 'SIGKILL')
  }
  const dataplane = createDataplane({ ...options, onStep })
  planAnew(dataplane, frontends)
  onStep('Planned everything')
  dataplane.activate()
  onStep('Done')
  dataplane.close()
}

if (import.meta.main) takeOver(JSON.parse(process.argv[2] ?? '') as TakeOverOrders)
