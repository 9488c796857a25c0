import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Pod, Service } from '@centaurus/api/core/v1'
import { makePod } from '../testing/pods.ts'
import { admitPod } from './admit-pod.ts'
import { formatHosts, podHostname } from './dns.ts'
import { resourceFieldValue, podFieldValue } from './downward.ts'
import { ContainerConfigError, makeEnvironment, serviceVariables } from './environment.ts'
import { expandReferences } from './expand.ts'
import { parseImageReference } from './image-reference.ts'
import { resolvePort } from './ports.ts'
import { containerResources, oomScoreAdjust, podQosClass, podRequests } from './resources.ts'
import { decideBackoff, formatGoSeconds } from './restart-policy.ts'
import { containerSecurity } from './security.ts'

const main = { name: 'main', image: 'app:1' }
const downward = {
  podIps: ['10.0.0.5'],
  hostIps: ['192.0.2.1'],
  nodeName: 'node-1',
  allocatable: new Map([['cpu', 2000]]),
}
const sources = { configMap: () => undefined, secret: () => undefined, services: [], downward }

describe('decisions about a pod', () => {
  it('expands references, and only known ones', () => {
    const lookup = (name: string): string | undefined => ({ A: 'a' })[name]
    assert.equal(expandReferences('$(A) $(B) $$(A) $A $', lookup), 'a $(B) $(A) $A $')
  })

  it('makes an environment in order, later wins', () => {
    const env = [
      { name: 'X', value: '1' },
      { name: 'Y', value: '$(X)2' },
      { name: 'X', value: '3' },
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    ]
    const made = makeEnvironment(makePod(), { ...main, env }, sources)
    assert.deepEqual(
      [...made],
      [
        ['X', '3'],
        ['Y', '12'],
        ['IP', '10.0.0.5'],
      ],
    )
  })

  it('refuses an environment from what is missing, unless optional', () => {
    const from = (optional: boolean) => ({
      ...main,
      env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional } } }],
    })
    assert.throws(
      () => makeEnvironment(makePod(), from(false), sources),
      new ContainerConfigError('secret "s" not found'),
    )
    assert.equal(makeEnvironment(makePod(), from(true), sources).size, 0)
  })

  it('names services in the environment', () => {
    const service = {
      metadata: { name: 'my-db' },
      spec: { clusterIP: '10.96.0.9', ports: [{ name: 'sql', port: 5432 }] },
    }
    const variables = serviceVariables(makePod(), [service])
    assert.equal(variables.get('MY_DB_SERVICE_HOST'), '10.96.0.9')
    assert.equal(variables.get('MY_DB_SERVICE_PORT_SQL'), '5432')
    assert.equal(variables.get('MY_DB_PORT_5432_TCP'), 'tcp://10.96.0.9:5432')
  })

  it('names the API of a tenant by what is in its certificate, where the pod can look it up', () => {
    const annotations = { 'centaurus.io/tenant': 'acme', 'centaurus.io/namespace': 'default' }
    const api = (more: object): Service => ({
      metadata: { name: 'kubernetes', ...more },
      spec: { clusterIP: '10.97.0.9', ports: [{ name: 'https', port: 443 }] },
    })
    const hostFor = (service: Service, spec: Partial<Pod['spec']> = {}): unknown =>
      serviceVariables(makePod(spec), [service]).get('KUBERNETES_SERVICE_HOST')
    assert.equal(hostFor(api({ annotations })), 'kubernetes.default.svc')
    for (const spec of [{ dnsPolicy: 'Default' }, { dnsPolicy: 'None' }, { hostNetwork: true }])
      assert.equal(hostFor(api({ annotations }), spec), '10.97.0.9', JSON.stringify(spec))
    assert.equal(hostFor(api({})), '10.97.0.9', 'the certificate has the operators’ address')
  })

  it('reads fields of the pod and of resources', () => {
    const pod = makePod({}, { metadata: { name: 'web', namespace: 'default', labels: { b: '2', a: '1' } } })
    assert.equal(podFieldValue(pod, 'metadata.labels', downward), 'a="1"\nb="2"')
    assert.equal(podFieldValue(pod, "metadata.labels['b']", downward), '2')
    const container = { ...main, resources: { requests: { memory: '1536Ki' } } }
    assert.equal(
      resourceFieldValue(pod, { resource: 'requests.memory', divisor: '1Mi' }, { ...downward, container }),
      '2',
    )
    assert.equal(resourceFieldValue(pod, { resource: 'limits.cpu' }, { ...downward, container }), '2')
  })

  it('classes pods by their resources', () => {
    const qos = (resources: object): string => podQosClass(makePod({ containers: [{ ...main, resources }] }))
    const both = { cpu: '1', memory: '1Gi' }
    assert.deepEqual(
      [qos({}), qos({ requests: { cpu: '1' } }), qos({ requests: both, limits: both })],
      ['BestEffort', 'Burstable', 'Guaranteed'],
    )
  })

  it('turns resources into cgroup limits', () => {
    const container = {
      ...main,
      resources: { requests: { cpu: '250m', memory: '1Gi' }, limits: { cpu: '500m', memory: '2Gi' } },
    }
    const pod = makePod({ containers: [container] })
    const limits = containerResources(pod, container, 8 * 1024 ** 3)
    assert.deepEqual(limits, {
      cpuPeriod: 100_000,
      cpuShares: 256,
      cpuQuota: 50_000,
      memoryLimitInBytes: 2 * 1024 ** 3,
      oomScoreAdj: 875,
    })
    assert.equal(oomScoreAdjust(makePod(), main, 1), 1000)
  })

  it('counts what init containers and sidecars need', () => {
    const needs = (name: string, cpu: string, extra = {}) => ({
      name,
      image: 'a',
      resources: { requests: { cpu } },
      ...extra,
    })
    const pod = makePod({
      initContainers: [needs('side', '100m', { restartPolicy: 'Always' }), needs('big', '2')],
      containers: [needs('main', '1')],
    })
    assert.equal(podRequests(pod).get('cpu'), 2100)
  })

  it('admits by labels, ports and room', () => {
    const node = { metadata: { name: 'node-1', labels: { zone: 'a' } } }
    const input = { node, allocatable: { cpu: '1', memory: '1Gi', pods: '2' }, others: [] }
    const port = { ...main, ports: [{ containerPort: 80, hostPort: 80 }] }
    const reason = (pod: ReturnType<typeof makePod>, others: ReturnType<typeof makePod>[] = []): string | undefined => {
      const admission = admitPod(pod, { ...input, others, pressure: new Set() })
      return admission.admit ? undefined : admission.reason
    }
    assert.equal(reason(makePod()), undefined)
    assert.equal(reason(makePod({ nodeSelector: { zone: 'b' } })), 'NodeAffinity')
    assert.equal(reason(makePod({ containers: [port] }), [makePod({ containers: [port] })]), 'NodePorts')
    assert.equal(reason(makePod({ containers: [{ ...main, resources: { requests: { cpu: '2' } } }] })), 'OutOfcpu')
    assert.equal(reason(makePod(), [makePod(), makePod()]), 'OutOfpods')
  })

  it('counts extended resources of the node, but neither those of the cluster nor what is given out by device', () => {
    const asking = (name: string): Pod =>
      makePod({ containers: [{ ...main, resources: { requests: { [name]: '2' } } }] })
    const isAdmitted = (name: string): boolean =>
      admitPod(asking(name), {
        node: undefined,
        allocatable: { pods: '9', 'example.com/port': '1', 'example.com/thing': '1', 'centaurus.io/gpu-memory': '1' },
        others: [],
        pressure: new Set(),
        isDevice: (resource) => resource === 'example.com/thing',
      }).admit
    assert.equal(isAdmitted('example.com/port'), false)
    assert.equal(isAdmitted('example.com/thing'), true)
    assert.equal(isAdmitted('example.com/licence'), true)
    assert.equal(isAdmitted('centaurus.io/gpu-memory'), true)
    assert.equal(isAdmitted('hugepages-2Mi'), false)
  })

  it('forgets old crashes', () => {
    const old = { delayMs: 300_000, updatedAtMs: 0 }
    assert.deepEqual(decideBackoff(old, 700_000, 700_001), {
      wait: false,
      next: { delayMs: 10_000, updatedAtMs: 700_001 },
    })
    assert.equal(formatGoSeconds(160_000), '2m40s')
  })

  it('completes image names as Docker does', () => {
    const full = (image: string): string | undefined => parseImageReference(image)?.full
    assert.equal(full('nginx'), 'docker.io/library/nginx:latest')
    assert.equal(full('a/b:1'), 'docker.io/a/b:1')
    assert.equal(full('localhost:5000/x'), 'localhost:5000/x:latest')
    assert.equal(full('Not A Name'), undefined)
  })

  it('finds ports by name', () => {
    assert.equal(resolvePort('web', { ...main, ports: [{ name: 'web', containerPort: 8080 }] }), 8080)
    assert.throws(() => resolvePort('none', main), /couldn't find port: none/)
  })

  it('names the pod in its hosts file', () => {
    const pod = makePod({ subdomain: 'sub', hostAliases: [{ ip: '1.2.3.4', hostnames: ['x'] }] })
    const hosts = formatHosts(pod, { ...podHostname(pod, 'cluster.local'), podIps: ['10.0.0.5'] })
    assert.match(hosts, /^10\.0\.0\.5\tweb\.sub\.default\.svc\.cluster\.local\tweb$/m)
    assert.match(hosts, /^1\.2\.3\.4\tx$/m)
  })

  it('refuses root where the pod must not run as root', () => {
    const pod = makePod({ securityContext: { runAsNonRoot: true } })
    const image = { id: 'i', repoTags: [], repoDigests: [], sizeBytes: 0, uid: undefined, username: '', pinned: false }
    assert.throws(
      () => containerSecurity(pod, main, { image, seccompDir: '/s' }),
      /container has runAsNonRoot and image will run as root/,
    )
    const own = {
      ...main,
      securityContext: { runAsUser: 7, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
    }
    const made = containerSecurity(pod, own, { image, seccompDir: '/s' })
    assert.deepEqual([made.runAsUser, made.readonlyRootfs, made.noNewPrivs], [{ value: 7 }, true, true])
  })
})
