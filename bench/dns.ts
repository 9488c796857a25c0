import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { namespaces, services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import {
  createAccessExtension,
  createApiServer,
  createTokenSigner,
  openClusterCertificates,
} from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { askDns, measureDns, type DnsFigures, type DnsQuestion } from './harness/dns-load.ts'
import type { DnsReadyMessage } from './harness/dns-process.ts'
import { forkScript } from './harness/forked.ts'
import { alternateFigures } from './harness/measure.ts'
import { freePort, startProcess } from './harness/process.ts'

const DURATION_MS = 2_000
const SERVICES = 1_000
const HEADLESS = 100
const ENDPOINTS = 10
const START_MS_MAX = 60_000
const READY_MS_MAX = 200
const ZONE = 'bench.svc.cluster.local'
const PEER = 'CoreDNS'
/** A CoreDNS to compare with; without one there are our figures alone. */
const COREDNS = process.env['BENCH_COREDNS'] ?? ''

export const bench: Bench = {
  summary:
    'Names of services: queries a second and CPU time for each, beside CoreDNS (BENCH_COREDNS=PATH), and whether it says the same',
  run,
}

interface Server {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

async function run({ rounds, directory, log }: BenchContext): Promise<readonly BenchResult[]> {
  const closers: (() => Promise<void>)[] = []
  try {
    const access = await startApi(directory, closers)
    const ours = await startOurs(access)
    closers.push(() => ours.stop())
    const peer = COREDNS === '' ? undefined : await startCoreDns(access, directory)
    if (peer !== undefined) closers.push(() => peer.stop())
    const results = peer === undefined ? [] : [await compareAnswers(ours, peer, log)]
    for (const [what, questions] of Object.entries(LOADS)) {
      log(what)
      const measure = (server: Server) => async (): Promise<DnsFigures> => measureDns(server, questions, DURATION_MS)
      if (peer === undefined)
        results.push(...figures(what, (await alternateFigures(rounds, { ours: measure(ours) })).ours))
      else {
        const medians = await alternateFigures(rounds, { ours: measure(ours), peer: measure(peer) })
        results.push(...figures(what, medians.ours, medians.peer))
      }
    }
    return results
  } finally {
    for (const close of closers.toReversed()) await close()
  }
}

function figures(what: string, ours: DnsFigures, peer?: DnsFigures): BenchResult[] {
  const beside = (value: number | undefined) => (value === undefined ? undefined : { name: PEER, value })
  return [
    benchResult({ metric: `${what}: rate`, value: ours.perSecond, unit: 'queries/s', peer: beside(peer?.perSecond) }),
    benchResult({
      metric: `${what}: CPU`,
      value: ours.cpuMicros,
      unit: 'µs/query',
      peer: beside(peer?.cpuMicros),
      target: peer === undefined ? undefined : { ratioAtMost: 1 },
    }),
  ]
}

const LOADS: Readonly<Record<string, readonly DnsQuestion[]>> = {
  'a service': Array.from({ length: SERVICES }, (_, i) => ({ name: `s${i}.${ZONE}`, type: 'A' as const })),
  'no such name': Array.from({ length: SERVICES }, (_, i) => ({ name: `api${i}.example.${ZONE}`, type: 'A' as const })),
  [`${ENDPOINTS} endpoints`]: Array.from({ length: HEADLESS }, (_, i) => ({
    name: `h${i}.${ZONE}`,
    type: 'A' as const,
  })),
}

const NAMES = `
  s1.ZONE h1.ZONE s0x.ZONE _http._tcp.s1.ZONE _http._tcp.h1.ZONE _http._udp.h1.ZONE
  pod-3.h1.ZONE 10-7-1-0.h2.ZONE pod-99.h1.ZONE pod-3.s1.ZONE a.b.c.s1.ZONE *.ZONE
  none.ZONE alias.ZONE loop.ZONE x.alias.ZONE quiet.ZONE ZONE S1.Bench.SVC.cluster.local
  svc.cluster.local pod.cluster.local cluster.local x.cluster.local s1.none.svc.cluster.local
  10-1-2-3.bench.pod.cluster.local 10-1-2-3.none.pod.cluster.local x.bench.pod.cluster.local
  bench.pod.cluster.local dns-version.cluster.local`
  .trim()
  .split(/\s+/)
  .map((name) => name.replace('ZONE', ZONE))
const TYPES = ['A', 'AAAA', 'SRV', 'TXT', 'CNAME', 'PTR', 'MX', 'SOA'] as const
/** Where we differ on purpose: what exists is not denied, what does not is, and an address in a name has no port. CoreDNS' cache shortens times. */
function isDifferent({ name, type }: DnsQuestion): boolean {
  if (name === 'dns-version.cluster.local') return true
  if (type === 'SOA') return name !== 'cluster.local'
  if (type === 'TXT') return /^(bench\.|loop\.|svc\.|pod\.)?(bench|svc|pod|cluster)\./.test(name)
  return type === 'SRV' && name.startsWith('10-1-2-3.')
}

async function compareAnswers(ours: Server, peer: Server, log: BenchContext['log']): Promise<BenchResult> {
  const questions = [
    ...NAMES.flatMap((name) => TYPES.map((type) => ({ name, type }))),
    ...['0.0.7.10', '3.1.7.10'].map((reversed) => ({ name: `${reversed}.in-addr.arpa`, type: 'PTR' as const })),
  ].filter((question) => !isDifferent(question))
  let agreed = 0
  for (const question of questions) {
    const [one, other] = [await askDns(ours.port, question), await askDns(peer.port, question)]
    if (one === other) agreed++
    else log(`${question.type} ${question.name}\n  ours    ${one}\n  CoreDNS ${other}`)
  }
  return benchResult({
    metric: 'answers that are CoreDNS’ too',
    value: agreed,
    unit: `of ${questions.length}`,
    target: { atLeast: questions.length },
  })
}

interface Access {
  readonly url: string
  /** File with JSON of ca, cert and key. */
  readonly credentials: string
  readonly kubeconfig: string
}

async function startApi(directory: string, closers: (() => Promise<void>)[]): Promise<Access> {
  const certificates = await openClusterCertificates({ directory: join(directory, 'pki') })
  const { authority, serving, serviceAccountKeyPem } = certificates
  const signer = createTokenSigner({ keyPem: serviceAccountKeyPem })
  const store = createMemoryStore()
  const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
  const server = createApiServer({ store, ...deps, extensions: [createAccessExtension({ signer })] })
  closers.push(
    () => store.close(),
    () => server.close(),
  )
  await server.start()
  await addServices(server.client())
  const tls = { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: authority.certificatePem }
  const { port } = await server.listen({ port: 0, host: '127.0.0.1', tls })
  const url = `https://127.0.0.1:${port}`
  const user = await certificates.client('bench', { commonName: 'bench', organizations: ['system:masters'] })
  const [credentials, kubeconfig] = [join(directory, 'credentials.json'), join(directory, 'kubeconfig.json')]
  const pem = { ca: authority.certificatePem, cert: user.certificatePem, key: user.keyPem }
  writeFileSync(credentials, JSON.stringify(pem))
  writeFileSync(kubeconfig, kubeconfigOf(url, pem))
  return { url, credentials, kubeconfig }
}

function kubeconfigOf(server: string, { ca, cert, key }: { ca: string; cert: string; key: string }): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'u', user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) } }],
  })
}

async function addServices(client: Client): Promise<void> {
  const namespace = 'bench'
  await client.create(namespaces, { metadata: { name: namespace } })
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' }]
  for (let i = 0; i < SERVICES; i++)
    await client.create(services, { metadata: { namespace, name: `s${i}` }, spec: { ports } })
  const aliases = { alias: `s1.${ZONE}`, loop: `loop.${ZONE}` }
  for (const [name, externalName] of Object.entries(aliases))
    await client.create(services, { metadata: { namespace, name }, spec: { type: 'ExternalName', externalName } })
  await client.create(services, { metadata: { namespace, name: 'quiet' }, spec: { clusterIP: 'None', ports } })
  for (let i = 0; i < HEADLESS; i++) {
    const metadata = { namespace, name: `h${i}` }
    await client.create(services, { metadata, spec: { clusterIP: 'None', ports } })
    await client.create(endpointslices, {
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': `h${i}` } },
      addressType: 'IPv4',
      ports,
      endpoints: Array.from({ length: ENDPOINTS }, (_, j) => ({
        addresses: [`10.7.${i}.${j}`],
        ...(i === 1 ? { hostname: `pod-${j}` } : {}),
      })),
    })
  }
}

async function startOurs({ url, credentials }: Access): Promise<Server> {
  const { ready, pid, stop } = await forkScript<DnsReadyMessage>('dns-process.ts', [url, credentials])
  return { port: ready.port, pid, stop }
}

/** With the settings of kubeadm's ConfigMap, which does not cache the cluster's names; what is not the cluster's is refused. */
async function startCoreDns({ kubeconfig }: Access, directory: string): Promise<Server> {
  const port = await freePort()
  const corefile = join(directory, 'Corefile')
  writeFileSync(
    corefile,
    `.:${port} {
  bind 127.0.0.1
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
    ttl 30
    fallthrough in-addr.arpa
  }
  cache 30 {
    disable success cluster.local
    disable denial cluster.local
  }
  loadbalance
}
`,
  )
  const last: DnsQuestion = { name: `h${HEADLESS - 1}.${ZONE}`, type: 'A' }
  const isReady = async (): Promise<boolean> => {
    try {
      return (await askDns(port, last, READY_MS_MAX)).startsWith('noerror')
    } catch {
      return false
    }
  }
  const child = await startProcess([COREDNS, '-conf', corefile], { isReady, timeoutMs: START_MS_MAX })
  return { port, ...child }
}
