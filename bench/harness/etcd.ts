/** Debian's etcd as a peer: own data directory, loopback ports, reached over gRPC as an API server does. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, type ChannelCredentials, type ClientDuplexStream } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { freePort, startProcess, type BenchProcess } from './process.ts'

const ETCD = '/usr/bin/etcd'
const READY_MS_MAX = 15_000
/** Compare's result and target. Source: etcd's rpc.proto. */
const EQUAL = 0
const MOD_REVISION = 2
const MESSAGE_BYTES_MAX = 64 * 2 ** 20

export interface EtcdKeyValue {
  readonly key: Buffer
  readonly value: Buffer
}

export interface Etcd {
  readonly pid: number
  put(key: string, value: Uint8Array): Promise<void>
  get(key: string): Promise<EtcdKeyValue | undefined>
  /** Puts when the key's modRevision is as given (0: when it does not exist). Returns its new one; undefined: it was not. */
  compareAndPut(key: string, value: Uint8Array, modRevision: number): Promise<number | undefined>
  range(prefix: string, options?: { readonly limit?: number }): Promise<readonly EtcdKeyValue[]>
  /** Resolves when the watch is set up. `onEvents` is told how many events came. */
  watch(prefix: string, onEvents: (count: number) => void): Promise<{ close(): void }>
  close(): Promise<void>
}

/** Starts etcd with its data in `directory`, and connects to it. */
export async function startEtcd(directory: string): Promise<Etcd & { readonly url: string }> {
  const etcd = await startEtcdProcess(directory)
  return { ...connect(etcd, etcd.url.replace('http://', '')), url: etcd.url }
}

/** Paths of PEM files with which etcd serves over TLS and asks for client certificates. */
export interface EtcdTlsFiles {
  readonly certificate: string
  readonly key: string
  readonly clientAuthority: string
}

/** Starts etcd with its data in `directory`. Throws with the way to install it when it is missing. */
export async function startEtcdProcess(
  directory: string,
  options: { readonly tls?: EtcdTlsFiles | undefined } = {},
): Promise<BenchProcess & { readonly url: string }> {
  if (!existsSync(ETCD)) throw new Error(`Cannot find ${ETCD}, the peer of this bench: apt-get install etcd-server`)
  const { tls } = options
  const clientUrl = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${await freePort()}`
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  const metricsUrl = `http://127.0.0.1:${await freePort()}`
  const flags = {
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': clientUrl,
    'advertise-client-urls': clientUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'listen-metrics-urls': metricsUrl,
    'quota-backend-bytes': String(8 * 2 ** 30),
    ...(tls === undefined ? {} : tlsFlags(tls)),
  }
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
  const isReady = (): Promise<boolean> =>
    fetch(`${metricsUrl}/health`).then(
      async (response) => (await response.text()).includes('true'),
      () => false,
    )
  const etcd = await startProcess([ETCD, ...args], { isReady, timeoutMs: READY_MS_MAX })
  return { ...etcd, url: clientUrl }
}

function tlsFlags({ certificate, key, clientAuthority }: EtcdTlsFiles): Record<string, string> {
  return {
    'cert-file': certificate,
    'key-file': key,
    'trusted-ca-file': clientAuthority,
    'client-cert-auth': 'true',
    'enable-grpc-gateway': 'false', // it calls etcd itself, with a server's certificate
  }
}

type Callback<T> = (error: Error | null, response: T) => void

interface KVClient {
  put(request: object, callback: Callback<unknown>): void
  txn(request: object, callback: Callback<TxnAnswer>): void
  range(request: object, callback: Callback<{ readonly kvs: readonly EtcdKeyValue[] }>): void
  close(): void
}

interface TxnAnswer {
  readonly succeeded: boolean
  readonly header: { readonly revision: number }
}

interface WatchClient {
  watch(): ClientDuplexStream<object, { readonly created: boolean; readonly events: readonly unknown[] }>
  close(): void
}

type Connect<T> = new (address: string, channel: ChannelCredentials, options: object) => T

function connect(etcd: BenchProcess, address: string): Etcd {
  const definition = loadSync(fileURLToPath(new URL('../proto/etcd.proto', import.meta.url)), { longs: Number })
  const loaded = loadPackageDefinition(definition) as unknown as {
    readonly etcdserverpb: { readonly KV: Connect<KVClient>; readonly Watch: Connect<WatchClient> }
  }
  const options = { 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX }
  const kv = new loaded.etcdserverpb.KV(address, credentials.createInsecure(), options)
  const watches = new loaded.etcdserverpb.Watch(address, credentials.createInsecure(), options)
  const range = async (request: object): Promise<readonly EtcdKeyValue[]> =>
    (await call<{ readonly kvs: readonly EtcdKeyValue[] }>((done) => kv.range(request, done))).kvs ?? []
  return {
    pid: etcd.pid,
    put: async (key, value) => void (await call((done) => kv.put({ key: Buffer.from(key), value }, done))),
    async compareAndPut(key, value, modRevision) {
      const bytes = Buffer.from(key)
      const request = {
        compare: [{ result: EQUAL, target: MOD_REVISION, key: bytes, modRevision }],
        success: [{ requestPut: { key: bytes, value } }],
        failure: [{ requestRange: { key: bytes } }],
      }
      const { succeeded, header } = await call<TxnAnswer>((done) => kv.txn(request, done))
      return succeeded ? header.revision : undefined
    },
    get: async (key) => (await range({ key: Buffer.from(key) }))[0],
    range: (prefix, { limit = 0 } = {}) => range({ ...keysUnder(prefix), limit }),
    watch: (prefix, onEvents) => openWatch(watches, prefix, onEvents),
    async close() {
      kv.close()
      watches.close()
      await etcd.stop()
    },
  }
}

function openWatch(
  watches: WatchClient,
  prefix: string,
  onEvents: (count: number) => void,
): Promise<{ close(): void }> {
  return new Promise((resolve, reject) => {
    const stream = watches.watch()
    stream.on('error', reject) // after it is set up: cancelled by close
    stream.on('data', (response: { readonly created?: boolean; readonly events?: readonly unknown[] }) => {
      if (response.created === true) resolve({ close: () => stream.cancel() })
      if (response.events !== undefined && response.events.length > 0) onEvents(response.events.length)
    })
    stream.write({ createRequest: keysUnder(prefix) })
  })
}

/** All keys that start with `prefix`, as etcd wants a range: up to the prefix with its last byte one higher. */
function keysUnder(prefix: string): object {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return { key: Buffer.from(prefix), rangeEnd: end }
}

function call<T>(start: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    start((error, response) => (error === null ? resolve(response) : reject(error))),
  )
}
