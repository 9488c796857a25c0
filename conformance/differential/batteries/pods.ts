import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const container = { name: 'c', image: 'registry.example/app:1' }

/** Subresources, and what the server does to pods, services, claims and namespaces beyond storing them. */
export async function podsBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'pods')
  const root = `/api/v1/namespaces/${namespace}`
  await podLife(recorder, root)
  await evictions(recorder, { root, namespace })
  await scales(recorder, namespace)
  await podDefaults(recorder, root)
  await services(recorder, root)
  await namespaces(recorder)
  await signing(recorder)
  await quotas(recorder)
}

async function podLife(recorder: Recorder, root: string): Promise<void> {
  const post = (step: string, path: string, body: unknown) => recorder.call(step, { method: 'POST', path, body })
  await post('pod', `${root}/pods`, {
    metadata: { name: 'p', labels: { app: 'p' } },
    spec: { containers: [container] },
  })
  await post('bind nowhere', `${root}/pods/p/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: '' } })
  await post('bind to a wrong kind', `${root}/pods/p/binding`, {
    metadata: { name: 'p' },
    target: { kind: 'Pod', name: 'n' },
  })
  await post('bind another name', `${root}/pods/p/binding`, {
    metadata: { name: 'q' },
    target: { kind: 'Node', name: 'n' },
  })
  await post('bind', `${root}/pods/p/binding`, {
    metadata: { name: 'p', annotations: { bound: 'yes' } },
    target: { kind: 'Node', name: 'n' },
  })
  await post('bind again', `${root}/pods/p/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n' } })
  await post('bind what is not there', `${root}/bindings`, {
    metadata: { name: 'none' },
    target: { kind: 'Node', name: 'n' },
  })
  await recorder.call('bound pod', { method: 'GET', path: `${root}/pods/p` })
  await recorder.call('log', { method: 'GET', path: `${root}/pods/p/log` })
  await recorder.call('log of a wrong container', { method: 'GET', path: `${root}/pods/p/log?container=x` })
  await recorder.call('log with bad options', { method: 'GET', path: `${root}/pods/p/log?tailLines=-1` })
  await recorder.call('exec without upgrade', { method: 'POST', path: `${root}/pods/p/exec?command=a&stdout=1` })
  await recorder.call('exec without a command', { method: 'POST', path: `${root}/pods/p/exec` })
  const patch = (step: string, path: string, body: unknown, headers = STRATEGIC) =>
    recorder.call(step, { method: 'PATCH', path, body, headers })
  await patch('ephemeral container', `${root}/pods/p/ephemeralcontainers`, {
    spec: { ephemeralContainers: [{ name: 'e', image: 'i' }] },
  })
  await patch('ephemeral container changed', `${root}/pods/p/ephemeralcontainers`, {
    spec: { ephemeralContainers: [{ name: 'e', image: 'j' }] },
  })
  await patch('ephemeral container with ports', `${root}/pods/p/ephemeralcontainers`, {
    spec: {
      ephemeralContainers: [{ name: 'f', image: 'j', ports: [{ containerPort: 1 }], targetContainerName: 'none' }],
    },
  })
  await recorder.call('get ephemeral containers', { method: 'GET', path: `${root}/pods/p/ephemeralcontainers` })
  await patch('resize', `${root}/pods/p/resize`, {
    spec: { containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }] },
  })
  await patch('resize an image', `${root}/pods/p/resize`, { spec: { containers: [{ name: 'c', image: 'other' }] } })
  await patch('change resources', `${root}/pods/p`, {
    spec: { containers: [{ name: 'c', resources: { requests: { cpu: '2' } } }] },
  })
  await patch('change the image', `${root}/pods/p`, {
    spec: { containers: [{ name: 'c', image: 'registry.example/app:2' }] },
  })
  await patch('rename the container', `${root}/pods/p`, { spec: { containers: [{ name: 'd', image: 'x' }] } })
  await patch(
    'add a toleration',
    `${root}/pods/p`,
    { spec: { tolerations: [{ key: 'a', operator: 'Exists' }] } },
    MERGE,
  )
  await patch('change the node', `${root}/pods/p`, { spec: { nodeName: 'm' } }, MERGE)
  const running = {
    phase: 'Running',
    startTime: '2026-01-01T00:00:00Z',
    podIP: '10.1.0.5',
    containerStatuses: [
      {
        name: 'c',
        ready: true,
        restartCount: 3,
        image: 'i',
        imageID: 'd',
        state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:00:00Z' } },
      },
    ],
    conditions: [{ type: 'Ready', status: 'True' }],
  }
  await patch('status', `${root}/pods/p/status`, { status: running })
  await recorder.call('table', { method: 'GET', path: `${root}/pods`, headers: { accept: TABLE } })
  await recorder.call('delete gracefully', { method: 'DELETE', path: `${root}/pods/p` })
  await recorder.call('table while deleting', { method: 'GET', path: `${root}/pods`, headers: { accept: TABLE } })
  await recorder.call('delete again', { method: 'DELETE', path: `${root}/pods/p` })
  await recorder.call('delete shorter', { method: 'DELETE', path: `${root}/pods/p?gracePeriodSeconds=5` })
  await recorder.call('delete now', { method: 'DELETE', path: `${root}/pods/p?gracePeriodSeconds=0` })
  await recorder.call('gone', { method: 'GET', path: `${root}/pods/p` })
}

async function evictions(recorder: Recorder, { root, namespace }: { root: string; namespace: string }): Promise<void> {
  await recorder.prepare({
    method: 'POST',
    path: `${root}/pods`,
    body: { metadata: { name: 'e', labels: { app: 'e' } }, spec: { nodeName: 'n', containers: [container] } },
  })
  const status = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }
  await recorder.prepare({ method: 'PATCH', path: `${root}/pods/e/status`, body: status, headers: MERGE })
  const path = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`
  await recorder.prepare({
    method: 'POST',
    path,
    body: { metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { app: 'e' } } } },
  })
  const evict = (step: string, body: object) =>
    recorder.call(step, {
      method: 'POST',
      path: `${root}/pods/e/eviction`,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'e' }, ...body },
    })
  await evict('evict with an unprocessed budget', {})
  await evict('evict with a wrong name', { metadata: { name: 'x' } })
  await evict('evict with a wrong kind', { kind: 'Pod' })
  const budget = {
    status: { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
  }
  await recorder.prepare({ method: 'PATCH', path: `${path}/b/status`, body: budget, headers: MERGE })
  await evict('evict against the budget', {})
  await recorder.prepare({
    method: 'PATCH',
    path: `${path}/b/status`,
    body: { status: { disruptionsAllowed: 1 } },
    headers: MERGE,
  })
  await evict('evict as a dry run', { deleteOptions: { dryRun: ['All'] } })
  await evict('evict', {})
  await recorder.call('budget after eviction', { method: 'GET', path: `${path}/b` })
  await recorder.call('pod after eviction', { method: 'GET', path: `${root}/pods/e` })
  await recorder.call('evict what is not there', {
    method: 'POST',
    path: `${root}/pods/none/eviction`,
    body: { metadata: { name: 'none' } },
  })
}

async function scales(recorder: Recorder, namespace: string): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments`
  const spec = {
    selector: { matchLabels: { app: 's' } },
    template: { metadata: { labels: { app: 's' } }, spec: { containers: [container] } },
  }
  await recorder.prepare({ method: 'POST', path, body: { metadata: { name: 's' }, spec } })
  const scale = await recorder.call('get scale', { method: 'GET', path: `${path}/s/scale` })
  await recorder.call('put scale', {
    method: 'PUT',
    path: `${path}/s/scale`,
    body: { ...scale.object, spec: { replicas: 4 } },
  })
  await recorder.call('patch scale', {
    method: 'PATCH',
    path: `${path}/s/scale`,
    body: { spec: { replicas: 5 } },
    headers: MERGE,
  })
  await recorder.call('bad scale', {
    method: 'PATCH',
    path: `${path}/s/scale`,
    body: { spec: { replicas: -5 } },
    headers: MERGE,
  })
  await recorder.call('stale scale', {
    method: 'PUT',
    path: `${path}/s/scale`,
    body: { ...scale.object, spec: { replicas: 6 } },
  })
  await recorder.call('scale of another name', {
    method: 'PUT',
    path: `${path}/s/scale`,
    body: { metadata: { name: 'x' }, spec: { replicas: 6 } },
  })
  await recorder.call('apply scale', {
    method: 'PATCH',
    path: `${path}/s/scale?fieldManager=m&force=true`,
    body: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 's' }, spec: { replicas: 8 } },
    headers: { 'content-type': 'application/apply-patch+yaml' },
  })
  await recorder.call('scale as a table', { method: 'GET', path: `${path}/s/scale`, headers: { accept: TABLE } })
  await recorder.call('scaled', { method: 'GET', path: `${path}/s` })
  await recorder.call('scale of nothing', { method: 'GET', path: `${path}/none/scale` })
}

async function podDefaults(recorder: Recorder, root: string): Promise<void> {
  const pods: Record<string, object> = {
    'guaranteed pod': { containers: [{ ...container, resources: { limits: { cpu: '1', memory: '1Gi' } } }] },
    'burstable pod': { containers: [{ ...container, resources: { requests: { cpu: '100m' } } }] },
    'pod with everything': {
      initContainers: [{ name: 'i', image: 'x', restartPolicy: 'Always' }],
      containers: [
        {
          name: 'c',
          image: 'x@sha256:aa',
          ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 81, protocol: 'UDP' }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
          livenessProbe: { httpGet: { port: 80 } },
          readinessProbe: { tcpSocket: { port: 80 } },
          startupProbe: { grpc: { port: 80 } },
          lifecycle: { preStop: { httpGet: { port: 1 } } },
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        },
      ],
      volumes: [
        { name: 'v', secret: { secretName: 's' } },
        { name: 'w', configMap: { name: 'c' } },
        { name: 'x' },
        { name: 'y', hostPath: { path: '/' } },
        { name: 'z', downwardAPI: { items: [{ path: 'p', fieldRef: { fieldPath: 'metadata.name' } }] } },
        { name: 'p', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } },
        { name: 'e', emptyDir: { sizeLimit: '1Gi' } },
        { name: 'n', nfs: { server: 's', path: '/p' } },
      ],
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'k', whenUnsatisfiable: 'DoNotSchedule' }],
      hostNetwork: true,
    },
    'pod of a missing account': { serviceAccountName: 'none', containers: [container] },
    'pod of a missing priority class': { priorityClassName: 'none', containers: [container] },
    'pod of a system priority': { priorityClassName: 'system-node-critical', containers: [container] },
    'pod with a priority': { priority: 5, containers: [container] },
    'pod of a missing runtime class': { runtimeClassName: 'none', containers: [container] },
    'pod without containers': {},
    'pod with two like containers': { containers: [container, container] },
    'pod with bad mounts': {
      containers: [
        {
          ...container,
          volumeMounts: [
            { name: 'none', mountPath: '' },
            { name: 'v', mountPath: '/a:b' },
          ],
        },
      ],
      volumes: [{ name: 'v', emptyDir: {}, secret: { secretName: 'x' } }],
    },
    'pod with bad resources': {
      containers: [
        { ...container, resources: { requests: { cpu: '2', memory: '-1', unknown: '1' }, limits: { cpu: '1' } } },
      ],
    },
    'pod with bad ports': {
      containers: [
        {
          ...container,
          ports: [
            { containerPort: 0 },
            { containerPort: 70000, name: 'Bad Name' },
            { containerPort: 80, hostPort: 81, protocol: 'X' },
          ],
        },
      ],
      hostNetwork: true,
    },
    'pod with bad environment': {
      containers: [
        {
          ...container,
          env: [
            { name: '' },
            { name: 'A=B' },
            { name: 'C', value: 'x', valueFrom: { fieldRef: { fieldPath: 'none' } } },
            { name: 'D', valueFrom: {} },
          ],
        },
      ],
    },
    'pod with bad probes': {
      containers: [
        {
          ...container,
          livenessProbe: { periodSeconds: -1 },
          readinessProbe: { httpGet: { port: 'none-such-name-that-is-long', scheme: 'FTP' }, exec: { command: [] } },
        },
      ],
    },
    'pod with bad affinity': {
      containers: [container],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] },
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 0, preference: { matchExpressions: [{ key: 'a', operator: 'Near' }] } },
          ],
        },
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: '' }] },
      },
    },
    'pod with bad security': {
      containers: [
        {
          ...container,
          securityContext: {
            privileged: true,
            allowPrivilegeEscalation: false,
            runAsUser: -1,
            capabilities: { add: ['CAP_SYS_ADMIN'] },
            procMount: 'X',
            seccompProfile: { type: 'Localhost' },
          },
        },
      ],
      securityContext: { sysctls: [{ name: 'a b', value: '' }], fsGroup: -1 },
      shareProcessNamespace: true,
      hostPID: true,
    },
    'pod with bad names': {
      containers: [container],
      nodeName: 'Bad_Node',
      nodeSelector: { 'a b': 'c d' },
      hostname: 'Bad_Host',
      subdomain: 'x.y',
      schedulerName: 'a b',
      restartPolicy: 'Maybe',
      dnsPolicy: 'None',
      terminationGracePeriodSeconds: -5,
      activeDeadlineSeconds: 0,
      schedulingGates: [{ name: '' }, { name: 'a' }, { name: 'a' }],
      tolerations: [
        { operator: 'Exists', value: 'x' },
        { key: 'a', tolerationSeconds: 5, effect: 'NoSchedule' },
      ],
      hostAliases: [{ ip: 'x', hostnames: ['A_b'] }],
      imagePullSecrets: [{}],
      readinessGates: [{ conditionType: 'a b' }],
      enableServiceLinks: 'x',
    },
  }
  for (const [name, spec] of Object.entries(pods))
    await recorder.call(name, {
      method: 'POST',
      path: `${root}/pods?dryRun=All`,
      body: { metadata: { name: 'x' }, spec },
    })
}

async function services(recorder: Recorder, root: string): Promise<void> {
  const ports = [{ port: 80 }]
  const specs: Record<string, object> = {
    'headless service': { clusterIP: 'None', ports },
    'node port service': { type: 'NodePort', ports },
    'load balancer': { type: 'LoadBalancer', ports },
    'external name': { type: 'ExternalName', externalName: 'example.com' },
    'external name without name': { type: 'ExternalName' },
    'service with an address': { clusterIP: '10.96.200.200', ports },
    'service outside the range': { clusterIP: '10.1.1.1', ports },
    'service with the first address': { clusterIP: '10.96.0.1', ports },
    'bad address': { clusterIP: 'x', ports },
    'node port outside': { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] },
    'chosen node port': { type: 'NodePort', ports: [{ port: 80, nodePort: 30_123 }] },
    'no ports': {},
    'two ports without names': { ports: [{ port: 80 }, { port: 81 }] },
    'like ports': {
      ports: [
        { port: 80, name: 'a' },
        { port: 80, name: 'b' },
      ],
    },
    'bad ports': { ports: [{ port: 0, targetPort: 'Not-Valid-Name-Long', protocol: 'X', nodePort: 5 }] },
    'dual stack': { ipFamilyPolicy: 'RequireDualStack', ports },
    'prefers dual stack': { ipFamilyPolicy: 'PreferDualStack', ports },
    IPv6: { ipFamilies: ['IPv6'], ports },
    affinity: { sessionAffinity: 'ClientIP', ports },
    'bad affinity': { sessionAffinity: 'Other', ports },
    'affinity configured': { sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } }, ports },
    'local traffic': { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports },
    'local traffic inside': { externalTrafficPolicy: 'Local', ports },
    'bad type': { type: 'X', ports },
    'source ranges': { type: 'LoadBalancer', loadBalancerSourceRanges: ['x'], ports },
    'external addresses': { externalIPs: ['127.0.0.1', 'x'], ports },
    'class of a cluster address': { loadBalancerClass: 'a/b', ports },
    distribution: { trafficDistribution: 'PreferClose', ports },
    'bad distribution': { trafficDistribution: 'X', ports },
    'headless node port': { type: 'NodePort', clusterIP: 'None', ports },
  }
  for (const [name, spec] of Object.entries(specs))
    await recorder.call(name, {
      method: 'POST',
      path: `${root}/services?dryRun=All`,
      body: { metadata: { name: 'x' }, spec },
    })
  await recorder.call('service with a bad name', {
    method: 'POST',
    path: `${root}/services?dryRun=All`,
    body: { metadata: { name: '1.2' }, spec: { ports } },
  })
  await recorder.prepare({
    method: 'POST',
    path: `${root}/services`,
    body: { metadata: { name: 's' }, spec: { ports, selector: { a: 'b' } } },
  })
  for (const [name, spec] of Object.entries({
    'to node port': { type: 'NodePort' },
    'to headless': { clusterIP: 'None' },
    'to external name': { type: 'ExternalName', externalName: 'a.b' },
    'to another address': { clusterIP: '10.96.99.99' },
    'to no address': { clusterIP: '' },
    'to cluster address': { type: 'ClusterIP' },
  })) {
    await recorder.call(`service ${name}`, {
      method: 'PATCH',
      path: `${root}/services/s`,
      body: { spec },
      headers: MERGE,
    })
  }
  await recorder.call('service table', { method: 'GET', path: `${root}/services`, headers: { accept: TABLE } })
  await recorder.call('delete a service', { method: 'DELETE', path: `${root}/services/s` })
  await recorder.call('delete the services', { method: 'DELETE', path: `${root}/services` })
}

async function namespaces(recorder: Recorder): Promise<void> {
  const name = await prepareNamespace(recorder, 'gone')
  const path = `/api/v1/namespaces/${name}`
  await recorder.call('bad finalize', {
    method: 'PUT',
    path: `${path}/finalize`,
    body: { metadata: { name }, spec: { finalizers: ['Bad Finalizer'] } },
  })
  await recorder.call('delete a namespace', { method: 'DELETE', path })
  await recorder.call('delete it again', { method: 'DELETE', path })
  await recorder.call('create in a dying namespace', {
    method: 'POST',
    path: `${path}/configmaps`,
    body: { metadata: { name: 'x' } },
  })
  await recorder.call('dying namespaces table', { method: 'GET', path, headers: { accept: TABLE } })
  await recorder.call('finalize', {
    method: 'PUT',
    path: `${path}/finalize`,
    body: { metadata: { name }, spec: { finalizers: [] } },
  })
  await recorder.call('finalized', { method: 'GET', path })
  for (const kept of ['default', 'kube-system', 'kube-public'])
    await recorder.call(`delete ${kept}`, { method: 'DELETE', path: `/api/v1/namespaces/${kept}` })
  await recorder.call('namespaces', { method: 'GET', path: '/api/v1/namespaces/kube-node-lease' })
  await recorder.call('kubernetes service', { method: 'GET', path: '/api/v1/namespaces/default/services/kubernetes' })
  await recorder.call('kubernetes endpoints', {
    method: 'GET',
    path: '/api/v1/namespaces/default/endpoints/kubernetes',
  })
  await recorder.call('kubernetes slice', {
    method: 'GET',
    path: '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes',
  })
}

async function signing(recorder: Recorder): Promise<void> {
  const { samples } = await import('../lib/samples.ts')
  const sample = samples(recorder.run).find(({ info }) => info.resource === 'certificatesigningrequests')!
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
  const name = `csr-${recorder.run}`
  await recorder.call('signing request', { method: 'POST', path, body: { metadata: { name }, ...sample.object } })
  const approval = (step: string, conditions: object[]) =>
    recorder.call(step, {
      method: 'PATCH',
      path: `${path}/${name}/approval`,
      body: { status: { conditions } },
      headers: MERGE,
    })
  await approval('approve badly', [{ type: 'Other' }])
  await approval('approve', [{ type: 'Approved', status: 'True', reason: 'r', message: 'm' }])
  await approval('deny too', [
    { type: 'Approved', status: 'True', reason: 'r', message: 'm' },
    { type: 'Denied', status: 'True', reason: 'r', message: 'm' },
  ])
  await approval('take back', [])
  await recorder.call('sign badly', {
    method: 'PATCH',
    path: `${path}/${name}/status`,
    body: { status: { certificate: 'YQ==' } },
    headers: MERGE,
  })
  await recorder.call('table of requests', { method: 'GET', path: `${path}/${name}`, headers: { accept: TABLE } })
  await recorder.call('kubelet signer', {
    method: 'POST',
    path: `${path}?dryRun=All`,
    body: {
      metadata: { name: 'k' },
      spec: { ...(sample.object['spec'] as object), signerName: 'kubernetes.io/kube-apiserver-client-kubelet' },
    },
  })
}

async function quotas(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'quota')
  const root = `/api/v1/namespaces/${namespace}`
  await recorder.prepare({
    method: 'POST',
    path: `${root}/resourcequotas`,
    body: { metadata: { name: 'q' }, spec: { hard: { pods: '1', 'requests.cpu': '1', configmaps: '1' } } },
  })
  await recorder.prepare({
    method: 'PATCH',
    path: `${root}/resourcequotas/q/status`,
    body: {
      status: {
        hard: { pods: '1', 'requests.cpu': '1', configmaps: '1' },
        used: { pods: '0', 'requests.cpu': '0', configmaps: '0' },
      },
    },
    headers: MERGE,
  })
  const pod = (name: string, cpu: string | undefined) => ({
    metadata: { name },
    spec: { containers: [{ ...container, ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }) }] },
  })
  await recorder.call('pod without requests', { method: 'POST', path: `${root}/pods`, body: pod('a', undefined) })
  await recorder.call('pod over quota', { method: 'POST', path: `${root}/pods`, body: pod('a', '2') })
  await recorder.call('pod within quota', { method: 'POST', path: `${root}/pods`, body: pod('a', '1') })
  await recorder.call('second pod', { method: 'POST', path: `${root}/pods`, body: pod('b', '100m') })
  await recorder.call('quota after', { method: 'GET', path: `${root}/resourcequotas/q` })
  await recorder.call('quota table', { method: 'GET', path: `${root}/resourcequotas/q`, headers: { accept: TABLE } })
  const limits = [
    {
      type: 'Container',
      default: { cpu: '200m' },
      defaultRequest: { cpu: '100m' },
      max: { cpu: '500m' },
      min: { cpu: '50m' },
    },
  ]
  const limited = await prepareNamespace(recorder, 'limit')
  await recorder.prepare({
    method: 'POST',
    path: `/api/v1/namespaces/${limited}/limitranges`,
    body: { metadata: { name: 'l' }, spec: { limits } },
  })
  for (const cpu of [undefined, '10m', '400m', '2'])
    await recorder.call(`limited pod of ${cpu}`, {
      method: 'POST',
      path: `/api/v1/namespaces/${limited}/pods?dryRun=All`,
      body: pod('a', cpu),
    })
}
