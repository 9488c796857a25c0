import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import { buildImage } from '@centaurus/images'
import { bundledTool } from '../apps/centaurus/src/bundled-kubectl.ts'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { IMAGE, pod, shell } from './lib/manifests.ts'
import { waitFor } from './lib/processes.ts'

/** Cases that run at the same time: each waits for most of its time. */
const AT_ONCE = 4

describe('pods with real containers', { skip: whyNoRoot(), concurrency: AT_ONCE }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('pods')
    await cluster.up()
  })
  after(() => cluster?.remove())

  const get = (name: string): Promise<Pod> => cluster.json<Pod>(`get pod ${name}`)
  const ready = (name: string): Promise<string> =>
    cluster.kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)
  const restarts = (name: string): Promise<string> =>
    cluster.kubectl(`get pod ${name} -o jsonpath={.status.containerStatuses[0].restartCount}`)

  it('runs init containers in order, then keeps a sidecar beside the main container until that ends', async () => {
    const say = (word: string) => shell(`echo ${word} >> /shared/order`)
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
    const step = (name: string) => ({ name, image: IMAGE, command: say(name), volumeMounts })
    const sidecar = {
      name: 'sidecar',
      image: IMAGE,
      restartPolicy: 'Always' as const,
      command: shell('echo sidecar >> /shared/order; trap exit TERM; while :; do sleep 0.2; done'),
      startupProbe: { exec: { command: ['grep', 'sidecar', '/shared/order'] }, periodSeconds: 1 },
      volumeMounts,
    }
    await cluster.apply(
      pod(
        'stages',
        { command: shell('cat /shared/order'), volumeMounts },
        {
          restartPolicy: 'Never',
          initContainers: [step('first'), sidecar, step('second')],
          volumes: [{ name: 'shared', emptyDir: {} }],
        },
      ),
    )
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/stages --timeout=60s')
    assert.equal(await cluster.kubectl('logs stages -c main'), 'first\nsidecar\nsecond\n')
    assert.match(await cluster.kubectl('get pod stages'), /stages\s+0\/2\s+Completed/)
  })

  it('gives containers their environment, volumes and rights', async () => {
    await cluster.apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings' },
        data: { colour: 'blue', 'app.conf': 'x=1' },
      },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { token: 's3cret' } },
      pod(
        'furnished',
        {
          env: [
            { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
            { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
            { name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
            { name: 'GREETING', value: 'hello $(COLOUR)' },
          ],
          envFrom: [{ prefix: 'KEY_', secretRef: { name: 'keys' } }],
          resources: { limits: { cpu: '300m', memory: '40Mi' }, requests: { cpu: '100m' } },
          securityContext: { runAsUser: 1234, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
          volumeMounts: [
            { name: 'all', mountPath: '/all' },
            { name: 'memory', mountPath: '/memory' },
            { name: 'host', mountPath: '/host', readOnly: true },
          ],
        },
        {
          securityContext: { fsGroup: 4321 },
          volumes: [
            {
              name: 'all',
              projected: {
                sources: [
                  { configMap: { name: 'settings', items: [{ key: 'app.conf', path: 'conf/app.conf' }] } },
                  { secret: { name: 'keys' } },
                  { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
                ],
              },
            },
            { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
            { name: 'host', hostPath: { path: '/etc/hostname', type: 'File' } },
          ],
        },
      ),
    )
    await ready('furnished')
    const { spec = { containers: [] }, status } = await get('furnished')
    const seen = await cluster.exec('furnished', 'echo "$NODE|$IP|$CPU|$GREETING|$KEY_token|$(id -u)|$(id -G)"')
    assert.equal(seen.trim(), `${spec.nodeName}|${status?.podIP}|300|hello blue|s3cret|1234|0 4321`)
    assert.equal(
      await cluster.exec('furnished', 'cat /all/conf/app.conf /all/token /all/labels'),
      'x=1s3cretapp="furnished"',
    )
    assert.equal(await cluster.exec('furnished', 'cat /host'), readFileSync('/etc/hostname', 'utf8'))
    assert.match(await cluster.exec('furnished', 'grep " /memory " /proc/mounts'), /^tmpfs .*size=8192k/)
    assert.equal(await cluster.exec('furnished', 'echo x > /memory/x && echo written'), 'written\n')
    const refused = await cluster.tryKubectl(['exec', 'furnished', '--', 'sh', '-c', 'echo x > /bin/x'])
    assert.match(refused.stderr, /Read-only file system/)
    assert.match(await cluster.kubectl('get pod furnished -o jsonpath={.status.qosClass}'), /^Burstable$/)
  })

  it('sets resource limits as limits of the cgroup', async () => {
    await cluster.apply(pod('limited', { resources: { limits: { cpu: '250m', memory: '48Mi' } } }))
    await ready('limited')
    const { status } = await get('limited')
    const id = status!.containerStatuses![0]!.containerID!.replace('containerd://', '')
    assert.deepEqual(cgroupLimits(id), { memoryBytes: 48 * 1024 * 1024, cpuShare: 0.25 })
    await cluster.kubectl('delete pod limited --wait')
  })

  it('updates a mounted ConfigMap and Secret while the container runs', async () => {
    const settings = (page: string) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'live' },
      data: { page },
    })
    await cluster.apply(
      settings('old'),
      pod(
        'reader',
        { volumeMounts: [{ name: 'live', mountPath: '/live' }] },
        { volumes: [{ name: 'live', configMap: { name: 'live' } }] },
      ),
    )
    await ready('reader')
    assert.equal(await cluster.exec('reader', 'cat /live/page'), 'old')
    await cluster.apply(settings('new'))
    await cluster.eventually('exec reader -- cat /live/page', (page) => page === 'new', 120_000)
    assert.equal(await restarts('reader'), '0')
  })

  it('imports an image from an archive, and lets its program use the API as its service account', async () => {
    const kubectl = readFileSync(bundledTool('kubectl'))
    const archive = join(cluster.home, 'client.tar')
    const name = 'example.com/client:2'
    const files = [
      { type: 'folder', path: 'tmp', mode: 0o1777 },
      { type: 'file', path: 'kubectl', data: kubectl, mode: 0o755 },
    ] as const
    await writeFile(archive, buildImage({ name, files, entrypoint: ['/kubectl'] }))
    assert.match(await cluster.mustCentaurus(['image', 'import', archive]), /example\.com\/client:2/)
    assert.match(await cluster.mustCentaurus(['image', 'list']), /example\.com\/client:2/)
    await cluster.kubectl('create serviceaccount reporter')
    await cluster.kubectl('create role reads --verb=get,list --resource=pods')
    await cluster.kubectl('create rolebinding reporter-reads --role=reads --serviceaccount=default:reporter')
    const inside = (pod: string, args: string) =>
      cluster.apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: pod },
        spec: {
          serviceAccountName: 'reporter',
          restartPolicy: 'Never',
          containers: [{ name: 'main', image: name, args: args.split(' ') }],
        },
      })
    await inside('allowed', 'get pod allowed -o name')
    await inside('refused', 'get secrets')
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/allowed --timeout=60s')
    assert.equal(await cluster.kubectl('logs allowed'), 'pod/allowed\n')
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Failed pod/refused --timeout=60s')
    assert.match(
      await cluster.kubectl('logs refused'),
      /secrets is forbidden: User "system:serviceaccount:default:reporter" cannot list resource "secrets"/,
    )
  })

  it('restarts a container that crashes, with back-off, and keeps the logs of the one before', async () => {
    await cluster.apply(pod('crash', { command: shell('echo dying; exit 3') }))
    await cluster.eventually('get pod crash', (text) => /CrashLoopBackOff/.test(text))
    assert.match(await cluster.kubectl('logs crash --previous'), /dying/)
    const described = await cluster.kubectl('describe pod crash')
    assert.match(described, /Last State:\s+Terminated\s+Reason:\s+Error\s+Exit Code:\s+3/)
    assert.match(described, /BackOff .*Back-off restarting failed container main in pod crash/)
    await cluster.kubectl('delete pod crash --wait --timeout=30s')
  })

  it('says what is wrong with a missing image and with one that cannot be pulled', async () => {
    await cluster.apply(
      pod('missing', { image: 'localhost/no/such:1', imagePullPolicy: 'Never' }),
      pod('unreachable', { image: '127.0.0.1:1/no/such:1' }),
    )
    await cluster.eventually('get pod missing', (text) => /ErrImageNeverPull/.test(text))
    assert.match(
      await cluster.kubectl('describe pod missing'),
      /Container image "localhost\/no\/such:1" is not present with pull policy of Never/,
    )
    await cluster.eventually('get pod unreachable', (text) => /ErrImagePull|ImagePullBackOff/.test(text))
    assert.match(await cluster.kubectl('describe pod unreachable'), /Failed to pull image "127\.0\.0\.1:1\/no\/such:1"/)
    await cluster.kubectl('delete pod missing unreachable')
  })

  it('kills a container that uses too much memory and says OOMKilled', async () => {
    await cluster.apply(
      pod(
        'hog',
        { command: shell('x=a; while :; do x=$x$x; done'), resources: { limits: { memory: '24Mi' } } },
        { restartPolicy: 'Never' },
      ),
    )
    await cluster.eventually('get pod hog', (text) => /OOMKilled/.test(text))
    const { status } = await get('hog')
    assert.equal(status!.containerStatuses![0]!.state!.terminated!.exitCode, 137)
  })

  it('restarts a container whose liveness probe fails, and holds back one that is not ready', async () => {
    await cluster.apply(
      pod('stale', {
        livenessProbe: { exec: { command: ['test', '!', '-e', '/tmp/broken'] }, periodSeconds: 1, failureThreshold: 1 },
        readinessProbe: { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1 },
      }),
    )
    await cluster.eventually('get pod stale', (text) => /stale\s+0\/1\s+Running/.test(text))
    await cluster.exec('stale', 'touch /tmp/ready')
    await ready('stale')
    await cluster.exec('stale', 'touch /tmp/broken')
    await waitFor('the restart', async () => (await restarts('stale')) === '1')
    assert.match(
      await cluster.kubectl('describe pod stale'),
      /Killing .*Container main failed liveness probe, will be restarted/,
    )
    assert.match(
      await cluster.kubectl('get events --field-selector involvedObject.name=stale'),
      /Unhealthy.*Liveness probe failed/,
    )
  })

  it('ends gracefully: preStop, then TERM, then KILL when the grace period is over', async () => {
    const told = (name: string, script: string, graceSeconds: number) =>
      pod(
        name,
        {
          command: shell(script),
          lifecycle: { preStop: { exec: { command: shell('echo preStop >> /proc/1/fd/1; sleep 1') } } },
        },
        { terminationGracePeriodSeconds: graceSeconds },
      )
    await cluster.apply(
      told('polite', 'trap "echo TERM; exit" TERM; while :; do sleep 0.2; done', 20),
      told('stubborn', 'trap "" TERM; while :; do sleep 0.2; done', 3),
    )
    await Promise.all([ready('polite'), ready('stubborn')])
    const logs = cluster.startKubectl('logs -f polite')
    let seen = ''
    logs.stdout?.setEncoding('utf8').on('data', (chunk: string) => (seen += chunk))
    const ended = new Promise((resolve) => logs.once('close', resolve))
    const began = performance.now()
    await cluster.kubectl('delete pod polite --wait --timeout=30s')
    const politeMs = performance.now() - began
    await ended
    assert.equal(seen, 'preStop\nTERM\n')
    assert.ok(politeMs > 1_000 && politeMs < 10_000, `took ${politeMs} ms`)
    const again = performance.now()
    await cluster.kubectl('delete pod stubborn --wait --timeout=30s')
    const stubbornMs = performance.now() - again
    assert.ok(stubbornMs > 3_000 && stubbornMs < 10_000, `took ${stubbornMs} ms`)
  })

  it('retries a Job as often as it says, then calls it failed', async () => {
    await cluster.apply({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'hopeless' },
      spec: {
        backoffLimit: 0,
        template: {
          spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: IMAGE, command: shell('exit 1') }] },
        },
      },
    })
    await cluster.kubectl('wait --for=condition=Failed job/hopeless --timeout=60s')
    assert.match(await cluster.kubectl('get job hopeless'), /hopeless\s+Failed\s+0\/1/)
    assert.match(await cluster.kubectl('describe job hopeless'), /BackoffLimitExceeded/)
  })

  it('holds pods that fit no node, and says why', async () => {
    await cluster.apply(
      pod('huge', { resources: { requests: { cpu: '900' } } }),
      pod('elsewhere', {}, { nodeSelector: { planet: 'mars' } }),
    )
    const waits = 'wait --for=jsonpath={.status.conditions[0].reason}=Unschedulable --timeout=30s'
    await cluster.kubectl(`${waits} pod/huge pod/elsewhere`)
    assert.match(
      await cluster.kubectl('describe pod huge'),
      /FailedScheduling .*0\/1 nodes are available: 1 Insufficient cpu/,
    )
    assert.match(
      await cluster.kubectl('describe pod elsewhere'),
      /FailedScheduling .*1 node\(s\) didn't match Pod's node affinity\/selector/,
    )
    await cluster.kubectl('delete pod huge elsewhere')
  })

  it('tells what containers and nodes use', async () => {
    await cluster.apply(pod('busy', { command: shell('while :; do :; done') }))
    await ready('busy')
    const cores = (table: string): number => Number(/\s(\d+)m\s/.exec(table)?.[1] ?? '0')
    // over the first seconds its mean rises
    await waitFor('the busy pod to be seen', async () => cores(await cluster.kubectl('top pod busy')) > 0)
    assert.match(await cluster.kubectl('top pod busy --containers'), /busy\s+main\s+[1-9]\d*m\s+\d+Mi/)
    assert.ok(cores(await cluster.kubectl('top nodes')) > 0)
    await cluster.kubectl('delete pod busy --grace-period=0 --force')
  })

  it('describes the node as it is', async () => {
    const described = await cluster.kubectl('describe nodes')
    assert.match(described, /Ready\s+True .*KubeletReady/)
    assert.match(described, /Container Runtime Version:\s+containerd:\/\//)
    assert.match(await cluster.kubectl('get nodes -o wide'), /\sReady\s.*192\.0\.2\.10\s.*containerd:\/\//)
  })
})

/** Limits of a container as the kernel has them, in cgroup v1 or v2. */
function cgroupLimits(id: string): { memoryBytes: number; cpuShare: number } {
  const read = (...path: string[]): string => readFileSync(join('/sys/fs/cgroup', ...path), 'utf8').trim()
  try {
    const [quota, period] = read('k8s.io', id, 'cpu.max').split(' ').map(Number) as [number, number]
    return { memoryBytes: Number(read('k8s.io', id, 'memory.max')), cpuShare: quota / period }
  } catch {
    const cpu = (file: string): number => Number(read('cpu', 'k8s.io', id, file))
    return {
      memoryBytes: Number(read('memory', 'k8s.io', id, 'memory.limit_in_bytes')),
      cpuShare: cpu('cpu.cfs_quota_us') / cpu('cpu.cfs_period_us'),
    }
  }
}
