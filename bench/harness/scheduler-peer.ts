/**
 * One run of a scheduler that is a process of its own, over HTTPS against our API server (memory store) in this process:
 * `node scheduler-peer.ts SHAPE NODES PODS ours|PATH-OF-KUBE-SCHEDULER`. Prints one JSON object.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  createAccessExtension,
  createApiServer,
  createTokenSigner,
  openClusterCertificates,
} from '@centaurus/apiserver'
import { nodes as nodeType, pods as podType } from '@centaurus/api/core/v1'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { sampleProcess } from './process.ts'
import { addObjects } from './scheduler-cluster.ts'
import type { Shape } from './scheduler-shapes.ts'

export interface PeerFigures {
  /** From the first binding to the last. */
  readonly podsPerSecond: number
  /** Time of the scheduler's process on its cores, from its start, for one pod. */
  readonly cpuMicrosPerPod: number
  readonly residentMegabytes: number
}

const WAIT_MS_MAX = 240_000
const MEGABYTE = 2 ** 20

async function run(shape: Shape, counts: { nodes: number; pods: number }, scheduler: string): Promise<PeerFigures> {
  const directory = mkdtempSync(join(tmpdir(), 'scheduler-peer-'))
  const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
  const certificates = await openClusterCertificates({ directory: join(directory, 'pki') })
  const { authority, serving } = certificates
  const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
  const store = createMemoryStore()
  const server = createApiServer({ store, ...deps, extensions: [createAccessExtension({ signer })] })
  await server.start()
  const tls = { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: authority.certificatePem }
  const { port } = await server.listen({ port: 0, host: '127.0.0.1', tls })
  const client = server.client()
  const informers = createInformerFactory(client, deps)
  let child: ChildProcess | undefined
  try {
    await addObjects(client, shape, counts)
    const user = await certificates.client('scheduler', { commonName: 'scheduler', organizations: ['system:masters'] })
    const kubeconfig = join(directory, 'kubeconfig.json')
    writeFileSync(kubeconfig, kubeconfigText(`https://127.0.0.1:${port}`, { ca: authority.certificatePem, ...user }))
    const podInformer = informers.informer(podType)
    informers.informer(nodeType)
    await informers.whenSynced()
    const bound = countBound(counts.pods)
    podInformer.addHandler({ onUpdate: (pod, old) => bound.note(pod.spec?.nodeName, old.spec?.nodeName) })
    child = startScheduler(scheduler, { kubeconfig, directory })
    const spanMs = await bound.all
    const { cpuMs, residentBytes } = sampleProcess(child.pid)
    return {
      podsPerSecond: (counts.pods * 1_000) / spanMs,
      cpuMicrosPerPod: (cpuMs * 1_000) / counts.pods,
      residentMegabytes: residentBytes / MEGABYTE,
    }
  } finally {
    child?.kill('SIGKILL')
    await informers.close()
    await server.close()
    await store.close()
    rmSync(directory, { recursive: true })
  }
}

/** Resolves to the milliseconds from the first binding to the last of `count`. */
function countBound(count: number): {
  note(now: string | undefined, before: string | undefined): void
  all: Promise<number>
} {
  const all = Promise.withResolvers<number>()
  let bound = 0
  let first = 0
  const timer = setTimeout(() => all.reject(new Error(`${bound} of ${count} pods bound in time`)), WAIT_MS_MAX)
  return {
    all: all.promise,
    note(now, before) {
      if (!now || before) return
      if (bound++ === 0) first = performance.now()
      if (bound < count) return
      clearTimeout(timer)
      all.resolve(performance.now() - first)
    },
  }
}

function startScheduler(
  scheduler: string,
  { kubeconfig, directory }: { kubeconfig: string; directory: string },
): ChildProcess {
  const stdio = ['ignore', 'ignore', 'inherit'] as const
  if (scheduler === 'ours') {
    const script = fileURLToPath(new URL('scheduler-process.ts', import.meta.url))
    return spawn(process.execPath, [script, kubeconfig], {
      stdio: [...stdio],
      env: { ...process.env, NODE_ENV: 'production' },
    })
  }
  const config = join(directory, 'kube-scheduler.json')
  writeFileSync(
    config,
    JSON.stringify({
      apiVersion: 'kubescheduler.config.k8s.io/v1',
      kind: 'KubeSchedulerConfiguration',
      // as upstream's own benchmark: the client is not what is measured
      clientConnection: { kubeconfig, qps: 100_000, burst: 100_000 },
      leaderElection: { leaderElect: false },
    }),
  )
  return spawn(scheduler, [`--config=${config}`, '--secure-port=0', '--v=0'], { stdio: [...stdio] })
}

function kubeconfigText(server: string, tls: { ca: string; certificatePem: string; keyPem: string }): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server, 'certificate-authority-data': base64(tls.ca) } }],
    users: [
      {
        name: 'bench',
        user: { 'client-certificate-data': base64(tls.certificatePem), 'client-key-data': base64(tls.keyPem) },
      },
    ],
  })
}

const [shape, nodes, pods, scheduler] = process.argv.slice(2)
const figures = await run(shape as Shape, { nodes: Number(nodes), pods: Number(pods) }, scheduler ?? 'ours')
process.stdout.write(JSON.stringify(figures))
