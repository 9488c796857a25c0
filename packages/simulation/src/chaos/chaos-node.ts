import type { Client } from '@centaurus/client'
import { createNodeAgent, type NodeAgent } from '@centaurus/node'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createSimulatedHost } from '../simulated-host.ts'
import { createSimulatedRuntime, type SimulatedRuntime } from '../simulated-runtime.ts'
import { createFaultyClient, noFaults, type ConnectionFaults, type FaultyClient } from './faulty-client.ts'

/** Small, so that there is too little room now and then. */
export const NODE_CPU_MILLICORES = 2_000
const NODE_MEMORY_BYTES = 4 * 1024 ** 3
/** Wait before another attempt to register with a server that is away. */
const REGISTER_AGAIN_MS = 1_000

export interface ChaosNodeOptions {
  readonly index: number
  readonly server: () => Client | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** A simulated node whose agent can die while its containers go on. */
export interface ChaosNode {
  readonly name: string
  readonly faults: ConnectionFaults
  readonly running: boolean
  /** Starts an agent over what the runtime has; keeps trying until the server takes it. */
  start(): Promise<void>
  /** SIGKILL of the agent: containers go on. */
  kill(): void
  /** The machine goes down: agent and containers are gone. */
  powerOff(): void
  cutWatches(): void
  /** Ends it for good, and waits for all that was killed before. */
  close(): Promise<void>
}

export function createChaosNode(options: ChaosNodeOptions): ChaosNode {
  const { index, clock, random, logger, server } = options
  const name = `node-${index}`
  const faults = noFaults()
  const closing: Promise<unknown>[] = []
  let boots = 0
  const boot = (): SimulatedRuntime =>
    createSimulatedRuntime({ clock, random, podCIDR: `10.${128 + index}.${boots++}.0/24` })
  let runtime = boot()
  let current: { readonly agent: NodeAgent; readonly client: FaultyClient } | undefined

  const stop = (): void => {
    if (current === undefined) return
    current.client.kill()
    closing.push(current.agent.close())
    current = undefined
  }
  const createAgent = (client: Client): NodeAgent =>
    createNodeAgent({
      client,
      runtime,
      clock,
      random,
      logger,
      host: createSimulatedHost({
        nodeName: name,
        runtime,
        capacity: { cpuMillicores: NODE_CPU_MILLICORES, memoryBytes: NODE_MEMORY_BYTES },
      }),
      config: { nodeName: name, hostIps: [`192.168.0.${index + 1}`] },
    })

  return {
    name,
    faults,
    get running() {
      return current !== undefined
    },
    async start() {
      while (current === undefined) {
        const client = createFaultyClient({ server, faults, clock, random })
        const agent = createAgent(client)
        const attempt = { agent, client }
        current = attempt
        try {
          await agent.start()
        } catch (error) {
          if (current !== attempt) return // killed meanwhile
          logger.warn('Agent did not start', { error })
          stop()
          await clock.sleep(REGISTER_AGAIN_MS)
        }
      }
    },
    kill: stop,
    powerOff() {
      stop()
      closing.push(runtime.close())
      runtime = boot()
    },
    cutWatches: () => current?.client.cutWatches(),
    async close() {
      const last = current
      current = undefined
      await last?.agent.close()
      await Promise.all(closing)
      await runtime.close()
    },
  }
}
