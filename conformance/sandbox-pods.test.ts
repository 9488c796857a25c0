import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Container, ContainerStatus, Pod, PodSpec } from '@centaurus/api/core/v1'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { IMAGE, pod, shell } from './lib/manifests.ts'
import { waitFor } from './lib/processes.ts'

/** What a cold build of the runtime may take; a check has it from an earlier step. */
const INSTALL_TIMEOUT_MS = 600_000
const SERVE = shell(
  'trap exit TERM; mkdir -p /tmp/www; echo hello > /tmp/www/index.html; httpd -p 8080 -h /tmp/www; while :; do sleep 0.2; done',
)

const NGINX = `
daemon off;
worker_processes 2;
user root;
error_log stderr;
pid /tmp/nginx.pid;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server { listen 8080; root /site; }
}
`

/** The host's process that is a pod's kernel: containerd keeps its id beside the configuration of the pod's first container. */
function kernelOf(home: string, name: string): number {
  const bundles = globSync(join(home, 'containerd/state/io.containerd.runtime.v2.task/k8s.io/*/config.json'))
  const found = bundles.filter((path) => {
    const { annotations } = JSON.parse(readFileSync(path, 'utf8')) as { annotations?: Record<string, string> }
    return (
      annotations?.['io.kubernetes.cri.container-type'] === 'sandbox' &&
      annotations['io.kubernetes.cri.sandbox-name'] === name
    )
  })
  assert.equal(found.length, 1)
  return Number(readFileSync(join(found[0]!, '../init.pid'), 'utf8'))
}

describe('pods in the sandbox', { skip: whyNoRoot(), concurrency: 3 }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('sandbox')
    await cluster.up()
    await cluster.mustCentaurus(['sandbox', 'install'], { timeoutMs: INSTALL_TIMEOUT_MS })
  })
  after(() => cluster?.remove())

  const sandboxed = (name: string, main: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod =>
    pod(name, main, { runtimeClassName: 'quark', ...spec })
  const ready = (name: string): Promise<string> =>
    cluster.kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)
  const address = (name: string): Promise<string> => cluster.kubectl(`get pod ${name} -o jsonpath={.status.podIP}`)

  it('run on a kernel of their own', async () => {
    assert.match(await cluster.kubectl('get runtimeclass quark'), /quark\s+quark/)
    await cluster.apply(sandboxed('own'), pod('shared'))
    await Promise.all([ready('own'), ready('shared')])
    const [own, shared] = await Promise.all(['own', 'shared'].map((name) => cluster.exec(name, 'cat /proc/version')))
    assert.notEqual(own, shared)
    assert.equal(await cluster.exec('own', 'hostname'), 'own\n')
  })

  it('log, answer exec, and end with their status', async () => {
    await cluster.apply(
      sandboxed('failing', { command: shell('echo out; echo err >&2; exit 3') }, { restartPolicy: 'Never' }),
    )
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Failed pod/failing --timeout=60s')
    const terminated = '{.status.containerStatuses[0].state.terminated.exitCode}'
    assert.equal(await cluster.kubectl(`get pod failing -o jsonpath=${terminated}`), '3')
    assert.deepEqual((await cluster.kubectl('logs failing')).split('\n').sort(), ['', 'err', 'out'])
    await cluster.apply(sandboxed('asked'))
    await ready('asked')
    const { code, stdout, stderr } = await cluster.tryKubectl([
      'exec',
      'asked',
      '--',
      'sh',
      '-c',
      'echo a; echo b >&2; exit 7',
    ])
    assert.deepEqual({ code, stdout, stderr: stderr.split('\n')[0] }, { code: 7, stdout: 'a\n', stderr: 'b' })
    assert.equal(await cluster.kubectl(['exec', '-i', 'asked', '--', 'cat'], { input: 'through\n' }), 'through\n')
  })

  it('are restarted when they crash, and when a probe says so', async () => {
    await cluster.apply(
      sandboxed('crash', { command: shell('echo dying; exit 3') }),
      sandboxed('stale', {
        livenessProbe: { exec: { command: ['test', '!', '-e', '/tmp/broken'] }, periodSeconds: 1, failureThreshold: 1 },
      }),
    )
    await ready('stale')
    await cluster.exec('stale', 'touch /tmp/broken')
    await cluster.eventually('get pod crash', (text) => /CrashLoopBackOff/.test(text))
    assert.match(await cluster.kubectl('logs crash --previous'), /dying/)
    const restarts = 'get pod stale -o jsonpath={.status.containerStatuses[0].restartCount}'
    await cluster.eventually(restarts, (count) => Number(count) >= 1)
    await cluster.kubectl('delete pod crash stale --wait --timeout=30s')
  })

  it('have their environment, volumes and rights', async () => {
    const data = { colour: 'blue' }
    const shared = join(cluster.home, 'shared')
    await mkdir(shared, { mode: 0o755 })
    await writeFile(join(shared, 'from-host'), 'host\n')
    await cluster.apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { token: 's3cret' } },
      sandboxed(
        'furnished',
        {
          env: [{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } }],
          securityContext: { runAsUser: 1234, runAsGroup: 1235, readOnlyRootFilesystem: true },
          volumeMounts: [
            { name: 'settings', mountPath: '/settings' },
            { name: 'keys', mountPath: '/keys' },
            { name: 'empty', mountPath: '/empty' },
            { name: 'memory', mountPath: '/memory' },
            { name: 'host', mountPath: '/host', readOnly: true },
          ],
        },
        {
          securityContext: { fsGroup: 4321 },
          volumes: [
            { name: 'settings', configMap: { name: 'settings' } },
            { name: 'keys', secret: { secretName: 'keys' } },
            { name: 'empty', emptyDir: {} },
            { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
            { name: 'host', hostPath: { path: shared, type: 'Directory' } },
          ],
        },
      ),
    )
    await ready('furnished')
    const seen = await cluster.exec(
      'furnished',
      'id -u; id -g; echo $COLOUR; cat /settings/colour /keys/token; echo; cat /host/from-host; for d in empty memory; do echo kept > /$d/x && cat /$d/x; done',
    )
    assert.equal(seen, '1234\n1235\nblue\nblues3cret\nhost\nkept\nkept\n')
    for (const path of ['/bin/x', '/host/x']) {
      const { code, stderr } = await cluster.tryKubectl(['exec', 'furnished', '--', 'sh', '-c', `echo x > ${path}`])
      assert.notEqual(code, 0)
      assert.match(stderr, /Read-only file system/)
    }
  })

  it('have containers that share the network and an emptyDir', async () => {
    const volumeMounts = [{ name: 'between', mountPath: '/between' }]
    const client = shell(
      'until wget -qO- 127.0.0.1:8080/ > /between/got 2>/dev/null; do sleep 0.2; done; trap exit TERM; while :; do sleep 0.2; done',
    )
    await cluster.apply(
      sandboxed(
        'pair',
        { command: SERVE, volumeMounts },
        {
          containers: [{ name: 'client', image: IMAGE, command: client, volumeMounts }],
          volumes: [{ name: 'between', emptyDir: {} }],
        },
      ),
    )
    await ready('pair')
    await waitFor('the client', async () => (await cluster.exec('pair -c main', 'cat /between/got')) === 'hello\n')
  })

  it('serve pods outside, by a Service, a probe and port-forward, unless a NetworkPolicy says no', async () => {
    await cluster.apply(
      sandboxed('web', { command: SERVE, readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 } }),
      pod('caller'),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    )
    await Promise.all([ready('web'), ready('caller')])
    const service = await cluster.kubectl('get service web -o jsonpath={.spec.clusterIP}')
    const call = `timeout 5 wget -qO- http://${service}/`
    await waitFor('the Service', async () => (await cluster.exec('caller', call).catch(() => '')) === 'hello\n')
    assert.equal(await cluster.exec('web', `timeout 5 wget -qO- http://${await address('web')}:8080/`), 'hello\n')
    assert.match(
      await cluster.exec('web', 'nslookup web.default.svc.cluster.local.'),
      new RegExp(service.replaceAll('.', '\\.')),
    )
    const forward = cluster.startKubectl('port-forward pod/web :8080')
    let said = ''
    forward.stdout?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    const port = await waitFor('port-forward', async () => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1])
    assert.equal(await cluster.inNetwork(['curl', '-sS', `http://127.0.0.1:${port}/`]), 'hello\n')
    forward.kill()
    await cluster.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed' },
      spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] },
    })
    const direct = `timeout 1 wget -qO- http://${await address('web')}:8080/`
    await waitFor(
      'the policy',
      async () => (await cluster.tryKubectl(['exec', 'caller', '--', 'sh', '-c', direct])).code !== 0,
    )
  })

  it('serve by an nginx of the host, with files of a ConfigMap, to many at once', async () => {
    const files = { 'nginx.conf': NGINX, 'page.html': 'from nginx\n' }
    const usr = (mountPath: string, subPath = '') => ({ name: 'usr', mountPath, subPath, readOnly: true })
    await cluster.apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'site' }, data: files },
      sandboxed(
        'nginx',
        {
          command: ['/usr/sbin/nginx', '-c', '/site/nginx.conf'],
          readinessProbe: { httpGet: { path: '/page.html', port: 8080 }, periodSeconds: 1 },
          livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 10 },
          volumeMounts: [{ name: 'site', mountPath: '/site' }, usr('/usr'), usr('/lib', 'lib'), usr('/lib64', 'lib64')],
        },
        {
          volumes: [
            { name: 'site', configMap: { name: 'site' } },
            { name: 'usr', hostPath: { path: '/usr', type: 'Directory' } },
          ],
        },
      ),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'nginx' },
        spec: { selector: { app: 'nginx' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    )
    await ready('nginx')
    const url = `http://${await cluster.kubectl('get service nginx -o jsonpath={.spec.clusterIP}')}/page.html`
    const fetch = (...args: string[]): Promise<string> => cluster.inNetwork(['curl', '-sS', '-m', '20', ...args])
    await waitFor('the Service', async () => (await fetch(url).catch(() => '')) === files['page.html'])
    const many = await fetch('--parallel', '--parallel-max', '20', ...Array<string>(200).fill(url))
    assert.equal(many, files['page.html'].repeat(200))
    assert.match(await cluster.kubectl('logs nginx'), /"GET \/page.html HTTP\/1.1" 200 11/)
  })

  it('start anew when their kernel process is killed', async () => {
    await cluster.apply(sandboxed('shot'))
    await ready('shot')
    await cluster.exec('shot', 'touch /tmp/before')
    const killed = kernelOf(cluster.home, 'shot')
    process.kill(killed, 'SIGKILL')
    const restarts = 'get pod shot -o jsonpath={.status.containerStatuses[0].restartCount}'
    await cluster.eventually(restarts, (count) => Number(count) >= 1)
    await ready('shot')
    assert.notEqual(kernelOf(cluster.home, 'shot'), killed)
    assert.equal(await cluster.exec('shot', 'ls /tmp'), '')
  })

  it('limit and count each container by itself', async () => {
    const limits = (resources: Record<string, string>) => ({ resources: { limits: resources } })
    const calm = 'trap exit TERM; (head -c 12000000 /dev/zero; sleep 1000) | tail -c 11000000 > /dev/null & wait'
    await cluster.apply(
      sandboxed(
        'limited',
        {
          command: shell('trap exit TERM; until [ -e /tmp/eat ]; do sleep 0.2; done; exec tail /dev/zero'),
          ...limits({ memory: '24Mi' }),
        },
        {
          restartPolicy: 'Never',
          containers: [
            { name: 'calm', image: IMAGE, command: shell(calm), ...limits({ memory: '100Mi' }) },
            {
              name: 'busy',
              image: IMAGE,
              command: shell('trap exit TERM; while :; do :; done'),
              ...limits({ cpu: '50m' }),
            },
          ],
        },
      ),
    )
    await ready('limited')
    const used = (top: string, name: string): number[] =>
      (new RegExp(`${name} +(\\d+)m +(\\d+)Mi`).exec(top) ?? []).slice(1).map(Number)
    await cluster.eventually('top pod limited --containers', (top) => {
      const [[calmCpu = 0, calmMemory = 0], [busyCpu = 0]] = [used(top, 'calm'), used(top, 'busy')]
      return busyCpu > calmCpu && calmMemory >= 10
    })
    await cluster.exec('limited -c main', 'touch /tmp/eat')
    const state = async (name: string): Promise<ContainerStatus> =>
      (await cluster.json<Pod>('get pod limited')).status!.containerStatuses!.find((one) => one.name === name)!
    await waitFor('the end', async () => (await state('main')).state?.terminated?.reason === 'OOMKilled')
    for (const name of ['calm', 'busy']) assert.ok((await state(name)).state?.running, name)
    assert.equal(await cluster.exec('limited -c calm', 'echo lives'), 'lives\n')
    const id = (await state('busy')).containerID!.replace('containerd://', '')
    const [cpu] = globSync(`/sys/fs/cgroup/{,cpu/}k8s.io/${id}/cpu.stat`)
    await waitFor('the limit', async () => /nr_throttled [1-9]/.test(readFileSync(cpu!, 'utf8')))
  })

  it('end on TERM, and are killed when the grace period is over', async () => {
    await cluster.apply(
      sandboxed(
        'polite',
        { command: shell('trap "echo TERM; exit" TERM; while :; do sleep 0.2; done') },
        { terminationGracePeriodSeconds: 30 },
      ),
      sandboxed(
        'stubborn',
        { command: shell('trap "" TERM; while :; do sleep 0.2; done') },
        { terminationGracePeriodSeconds: 2 },
      ),
    )
    await Promise.all([ready('polite'), ready('stubborn')])
    await cluster.kubectl('delete pod polite stubborn --wait --timeout=20s')
  })

  it('take and give files', async () => {
    await cluster.apply(sandboxed('files'))
    await ready('files')
    const [there, back] = [join(cluster.home, 'there'), join(cluster.home, 'back')]
    await writeFile(there, 'line\n'.repeat(50_000))
    await cluster.kubectl(`cp ${there} files:/tmp/copied`)
    await cluster.kubectl(`cp files:/tmp/copied ${back}`)
    assert.equal(readFileSync(back, 'utf8'), readFileSync(there, 'utf8'))
  })
})
