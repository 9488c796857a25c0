import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { InformerFactory } from '@centaurus/client'
import { planServices } from './plan.ts'
import { formatRemoval, formatRuleset } from './ruleset.ts'

export interface ServiceProxyDeps {
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeName: string
  /** Addresses of this node's pods. */
  readonly podCIDR: string
  /** nftables table of our own; default `centaurus-services`. */
  readonly table?: string | undefined
}

export interface ServiceProxy {
  /** Resolves when the kernel has the first table. */
  readonly started: Promise<void>
  /** Stops following; the table stays, so that pods go on reaching services while the agent is away. */
  close(): Promise<void>
}

export const SERVICE_TABLE = 'centaurus-services'

/** Changes within this time are one table. */
const DEBOUNCE_MS = 20
const RETRY_MS = 5_000
const BRIDGE_NETFILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables'

/** Serves ClusterIPs and node ports on this host through nftables, until our own network takes over. Needs root. */
export function startServiceProxy(deps: ServiceProxyDeps): ServiceProxy {
  const { informers, clock, logger, nodeName, table = SERVICE_TABLE } = deps
  const serviceInformer = informers.informer(services)
  const sliceInformer = informers.informer(endpointslices)
  const { promise: started, resolve: markStarted } = Promise.withResolvers<void>()
  let applied = ''
  let timer: Timer | undefined
  let closed = false
  let working: Promise<void> = Promise.resolve()
  const apply = async (): Promise<void> => {
    if (closed || !serviceInformer.synced || !sliceInformer.synced) return
    const frontends = planServices({ services: serviceInformer.list(), slices: sliceInformer.list(), nodeName })
    const text = formatRuleset(frontends, { table, masqueradeWithin: answersPassHost() ? undefined : deps.podCIDR })
    if (text === applied) return
    try {
      await runNft(text)
      applied = text
      markStarted()
    } catch (error) {
      logger.error('Could not program services', { error })
      schedule(RETRY_MS)
    }
  }
  const schedule = (delayMs: number): void => {
    timer?.cancel()
    timer = clock.setTimer(delayMs, () => {
      working = working.then(apply)
    })
  }
  const changed = (): void => schedule(DEBOUNCE_MS)
  const handler = { onAdd: changed, onUpdate: changed, onDelete: changed }
  const removers = [serviceInformer.addHandler(handler), sliceInformer.addHandler(handler)]
  void Promise.all([serviceInformer.whenSynced(), sliceInformer.whenSynced()]).then(changed, () => {}) // rejects only when the factory closes
  return {
    started,
    async close() {
      closed = true
      timer?.cancel()
      for (const remove of removers) remove()
      await working
    },
  }
}

/** Takes the table away. */
export async function removeServiceProxy(table: string = SERVICE_TABLE): Promise<void> {
  await runNft(formatRemoval(table))
}

/** Whether bridged packets pass the host's connection tracking, so that answers from a pod of the same bridge are translated back. */
function answersPassHost(): boolean {
  return existsSync(BRIDGE_NETFILTER) && readFileSync(BRIDGE_NETFILTER, 'utf8').trim() === '1'
}

function runNft(script: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
    child.on('error', (cause) => reject(new Error('Cannot run nft: install the package nftables', { cause })))
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`Cannot load the services' rules: nft ended with ${code}: ${errors.trim()}`))
    })
    child.stdin.on('error', () => {}) // the exit code tells
    child.stdin.end(script)
  })
}
