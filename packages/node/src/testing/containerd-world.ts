import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { createSeededRandom, silentLogger, systemClock, type Logger } from '@centaurus/base'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { buildBusyboxImage, buildPauseImage } from '@centaurus/images'

import type { NodeAgentOptions } from '../agent/config.ts'
import { createNodeAgent, type NodeAgent } from '../agent/node-agent.ts'
import { importImage, startContainerd, type Containerd } from '../cri/containerd.ts'
import { createCriRuntime } from '../cri/cri-runtime.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import { createMemoryClient, type MemoryClient } from './memory-client.ts'
import { isolateHost, killShims } from './namespaces.ts'

export const BUSYBOX = 'centaurus.io/test/busybox:1'
const PAUSE = 'centaurus.io/pause:1'
const WAIT_MS = 60_000
const POLL_MS = 50

/** A containerd of the test's own, with a bridge network and two images, and an agent on top of an API in memory. */
export interface ContainerdWorld {
  readonly dir: string
  readonly client: MemoryClient
  readonly containerd: Containerd
  readonly runtime: ContainerRuntime
  agent: NodeAgent
  /** Another agent for the same node, as after a crash. */
  restartAgent(): Promise<void>
  createPod(
    name: string,
    spec: Partial<NonNullable<Pod['spec']>> & Pick<NonNullable<Pod['spec']>, 'containers'>,
  ): Promise<Pod>
  getPod(name: string): Promise<Pod>
  /** Resolves with the pod when `check` holds; throws with its status after a minute. */
  waitForPod(name: string, check: (pod: Pod) => boolean): Promise<Pod>
  waitUntilGone(name: string): Promise<void>
  close(): Promise<void>
}

/** Only within `runInNamespaces`. */
export async function startContainerdWorld({
  config = {},
  logger = silentLogger,
}: { readonly config?: Partial<NodeAgentOptions>; readonly logger?: Logger } = {}): Promise<ContainerdWorld> {
  isolateHost()
  const dir = await mkdtemp('/tmp/centaurus-node-')
  const containerd = await startContainerd({
    dir: join(dir, 'containerd'),
    clock: systemClock,
    logger,
    sandboxImage: PAUSE,
    network: { podCIDR: '10.244.7.0/24', bridge: 'cni-test0' },
  })
  const images = {
    'pause.tar': buildPauseImage({ name: PAUSE }),
    'busybox.tar': await buildBusyboxImage({ name: BUSYBOX }),
  }
  for (const [file, bytes] of Object.entries(images)) {
    await writeFile(join(dir, file), bytes)
    await importImage(join(dir, file), containerd)
  }
  const client = createMemoryClient()
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  const makeAgent = (): NodeAgent =>
    createNodeAgent({
      client,
      runtime,
      clock: systemClock,
      random: createSeededRandom(1),
      logger,
      config: {
        nodeName: 'node-1',
        hostIps: ['10.244.7.1'],
        rootDir: join(dir, 'node'),
        podLogsDir: join(dir, 'logs'),
        relistPeriodMs: 200,
        ...config,
      },
    })
  const world: ContainerdWorld = {
    dir,
    client,
    containerd,
    runtime,
    agent: makeAgent(),
    async restartAgent() {
      await world.agent.close()
      world.agent = makeAgent()
      await world.agent.start()
    },
    createPod: (name, spec) =>
      client.create(pods, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: { nodeName: 'node-1', restartPolicy: 'Always', terminationGracePeriodSeconds: 2, ...spec },
      }),
    getPod: (name) => client.get(pods, { namespace: 'default', name }),
    async waitForPod(name, check) {
      for (const end = Date.now() + WAIT_MS; Date.now() < end;) {
        const pod = await world.getPod(name)
        if (check(pod)) return pod
        await systemClock.sleep(POLL_MS)
      }
      throw new Error(
        `Pod ${name} did not get there: ${JSON.stringify((await world.getPod(name)).status, undefined, 2)}`,
      )
    },
    async waitUntilGone(name) {
      for (const end = Date.now() + WAIT_MS; Date.now() < end;) {
        if (
          await world.getPod(name).then(
            () => false,
            () => true,
          )
        )
          return
        await systemClock.sleep(POLL_MS)
      }
      throw new Error(`Pod ${name} is still there: ${JSON.stringify((await world.getPod(name)).metadata)}`)
    },
    close: () => closeWorld(world),
  }
  await world.agent.start()
  return world
}

async function closeWorld({ agent, runtime, containerd, dir }: ContainerdWorld): Promise<void> {
  await agent.close()
  for (const { id } of await runtime.listSandboxes()) {
    await runtime.stopSandbox(id)
    await runtime.removeSandbox(id)
  }
  await runtime.close()
  await containerd.stop()
  killShims(containerd.socket)
  await rm(dir, { recursive: true, force: true }).catch(() => undefined) // what is still mounted ends with the namespace
}
