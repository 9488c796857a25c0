import { createSeededRandom } from '@centaurus/base'
import { BENCH_NAMESPACE } from './api-server-process.ts'
import { createRequest, putRequest } from './etcd-wire.ts'
import type { LoadClient, LoadRequest } from './http2-load.ts'

/** Pods that are read and listed. */
export const PODS = 1_000
const SEED_IN_FLIGHT = 64

type Resource = 'pods' | 'configmaps'

/** GET of one object, or of all. */
export function urlOf(resource: Resource, name = ''): LoadRequest {
  const path = `/api/v1/namespaces/${BENCH_NAMESPACE}/${resource}${name === '' ? '' : `/${name}`}`
  return { headers: { ':method': 'GET', ':path': path, accept: 'application/json', 'user-agent': 'bench' } }
}

/** POST, or with a name PUT. */
export function writeRequest(resource: Resource, body: Buffer, name = ''): LoadRequest {
  const { headers } = urlOf(resource, name)
  const method = name === '' ? 'POST' : 'PUT'
  return { headers: { ...headers, ':method': method, 'content-type': 'application/json' }, body }
}

/** Where a Kubernetes API server keeps it. */
export function etcdKey(resource: Resource, name: string): string {
  return `/registry/${resource}/${BENCH_NAMESPACE}/${name}`
}

/** Requests that each create another object; in etcd with `value`, or the object as it is sent. */
export function createWriter(
  resource: Resource,
  value?: Uint8Array,
): { readonly ours: () => LoadRequest; readonly etcd: () => LoadRequest } {
  const encode = resource === 'pods' ? benchPod : benchConfigMap
  let count = 0
  return {
    ours: () => writeRequest(resource, encode(`new-${count++}`)),
    etcd: () => createRequest(etcdKey(resource, `new-${count++}`), value ?? encode('new')),
  }
}

/** Writes {@link PODS} Pods to both. Resolves to one as it is served, which etcd stores as it is. */
export async function seedPods(clients: { readonly ours: LoadClient; readonly etcd: LoadClient }): Promise<Uint8Array> {
  await writePods(clients.ours, 0, PODS)
  const served = await clients.ours.read(urlOf('pods', podName(0)))
  await eachInFlight(0, PODS, (i) => clients.etcd.send(putRequest(etcdKey('pods', podName(i)), served)))
  return served
}

export function writePods(client: LoadClient, first: number, end: number): Promise<void> {
  return eachInFlight(first, end, (i) => client.send(writeRequest('pods', benchPod(podName(i)))))
}

/** Names among those that {@link seedPods} wrote. */
export function createRandomName(): () => string {
  const random = createSeededRandom(1)
  return () => podName(random.integer(PODS))
}

function podName(number: number): string {
  return `web-7d9c6b5f4-${String(number).padStart(6, '0')}`
}

async function eachInFlight(first: number, end: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = first
  const worker = async (): Promise<void> => {
    while (next < end) await run(next++)
  }
  await Promise.all(Array.from({ length: SEED_IN_FLIGHT }, worker))
}

/** A Pod as a Deployment makes it: about 3 KB when the server has filled it in. */
export function benchPod(name: string): Buffer {
  const labels = { app: 'web', tier: 'frontend', 'pod-template-hash': '7d9c6b5f4', release: 'stable' }
  return encode({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: BENCH_NAMESPACE,
      labels,
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '8080' },
    },
    spec: {
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'web',
          image: 'registry.example.com/shop/web:2.14.3',
          args: ['--listen=:8080', '--log-level=info'],
          ports: [{ name: 'http', containerPort: 8080 }],
          env: [
            { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
            { name: 'DATABASE', value: 'postgres.data.svc.cluster.local:5432' },
          ],
          resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '500m', memory: '256Mi' } },
          readinessProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 5 },
          volumeMounts: [{ name: 'config', mountPath: '/etc/web' }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'web' } }],
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }],
    },
  })
}

/** A ConfigMap of about 1 KB. `round` makes an update a change. */
export function benchConfigMap(name: string, round = 0): Buffer {
  return encode({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: BENCH_NAMESPACE },
    data: { round: String(round), 'settings.json': 'x'.repeat(500) },
  })
}

function encode(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}
