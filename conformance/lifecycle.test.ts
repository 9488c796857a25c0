import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ROOT, TestCluster, whyNoRoot } from './lib/cluster.ts'
import { isAlive } from './lib/leftovers.ts'
import { pod } from './lib/manifests.ts'
import { mustRun, run, start, waitFor } from './lib/processes.ts'

interface PodStatus {
  metadata: { uid: string }
  status: { containerStatuses: { restartCount: number; containerID: string; ready: boolean }[] }
}

describe('the life of a cluster with real containers', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('life')
    await cluster.up()
    await cluster.kubectl('create configmap kept --from-literal=a=1')
    const serve = { command: ['httpd', '-f', '-p', '8080', '-h', '/etc'] }
    await cluster.apply(pod('steady'), pod('echo', serve, { terminationGracePeriodSeconds: 1 }), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'echo' },
      spec: { selector: { app: 'echo' }, ports: [{ port: 80, targetPort: 8080 }] },
    })
    await cluster.kubectl('wait --for=condition=Ready pod/steady pod/echo --timeout=60s')
  })
  after(() => cluster?.remove())

  const steady = (): Promise<PodStatus> => cluster.json<PodStatus>('get pod steady')
  /** Ends one of the cluster's processes as a crash would, and waits until it is gone. */
  const crash = async (name: string): Promise<void> => {
    const record = await readFile(join(cluster.home, 'run', `${name}.json`), 'utf8')
    const { pid } = JSON.parse(record) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await waitFor(`${name} to be gone`, async () => !isAlive(pid))
  }

  it('says what is already up when started again', async () => {
    const output = await cluster.up()
    assert.match(output, /already up/)
    assert.match(await cluster.mustCentaurus(['status']), /1 of 1 ready/)
    const refused = await cluster.centaurus(['up', '--port', '7001'])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /already runs with --port 6443/)
  })

  /** Nobody runs `up`: the supervisor brings back what was killed. */
  const isUpAgain = (): Promise<boolean> =>
    waitFor('status to be well again', async () => (await cluster.centaurus(['status'])).code === 0)

  it('starts the node agent again when it is killed, which adopts its containers', async () => {
    const before = await steady()
    await crash('node')
    await isUpAgain()
    await cluster.kubectl('wait --for=condition=Ready pod/steady --timeout=30s')
    const after = await steady()
    assert.equal(after.status.containerStatuses[0]!.containerID, before.status.containerStatuses[0]!.containerID)
    assert.equal(after.status.containerStatuses[0]!.restartCount, 0)
  })

  it('loses nothing that it acknowledged when the control plane is killed', async () => {
    for (let round = 0; round < 3; round++) {
      const name = `survivor-${round}`
      await cluster.kubectl(`create configmap ${name}`)
      await crash('control-plane')
      await isUpAgain()
      assert.match(await cluster.kubectl(`get configmap ${name}`), new RegExp(name))
    }
    const pod = await steady()
    assert.equal(pod.status.containerStatuses[0]!.restartCount, 0, 'pods go on without a control plane')
  })

  it('keeps objects, pods and addresses of Services over down and up', async () => {
    const { metadata } = await steady()
    const address = await cluster.kubectl('get service echo -o jsonpath={.spec.clusterIP}')
    const ask = (): Promise<string> => cluster.exec('steady', `timeout 5 wget -qO- http://${address}/passwd`)
    assert.match(await ask(), /^root:/)
    assert.match(await cluster.mustCentaurus(['down']), /cluster is down/)
    assert.equal((await cluster.centaurus(['status'])).code, 1)
    await cluster.up()
    assert.match(await cluster.kubectl('get configmap kept -o jsonpath={.data.a}'), /1/)
    await waitFor('the pod to run again', async () => {
      const pod = await steady()
      return pod.metadata.uid === metadata.uid && pod.status.containerStatuses[0]?.ready === true
    })
    await cluster.kubectl('wait --for=condition=Ready pod/echo --timeout=60s')
    assert.equal(await cluster.kubectl('get service echo -o jsonpath={.spec.clusterIP}'), address)
    assert.match(await ask(), /^root:/)
  })

  it('prints the logs of its processes', async () => {
    const { stdout } = await cluster.centaurus(['logs', 'control-plane', '-n', '5'])
    assert.ok(stdout.trim().length > 0)
    const unknown = await cluster.centaurus(['logs', 'nobody'])
    assert.match(unknown.stderr, /There is no log named "nobody"/)
  })
})

const HOLD_PORT = `require('node:net').createServer().listen(7099, '0.0.0.0', () => console.log('listening'))`

describe('a cluster that cannot start', () => {
  it('names the port that is in use and the way out', async () => {
    const cluster = await TestCluster.create('port')
    const holder = start([...(cluster.network?.enter ?? []), process.execPath, '-e', HOLD_PORT])
    try {
      await once(holder.stdout!, 'data')
      const { code, stderr, stdout } = await cluster.centaurus(['up', '--nodes', 'none', '--port', '7099'])
      assert.equal(code, 1)
      assert.match(stdout + stderr, /port 7099.*in use.*--port/s)
    } finally {
      holder.kill()
      await cluster.remove()
    }
  })

  it('refuses what it cannot understand', async () => {
    const cluster = await TestCluster.create('bad')
    for (const [args, message] of [
      [['up', '--nodes', 'imaginary'], /must be local, none or simulated:N/],
      [['up', '--port', '99999'], /must be a number from 1 to 65535/],
      [['upp'], /unknown command/],
      [['image', 'import', 'x.tar'], /Start one with \.\/centaurus up/],
    ] as const) {
      const { code, stderr } = await cluster.centaurus(args)
      assert.notEqual(code, 0)
      assert.match(stderr, message)
    }
    await cluster.remove()
  })
})

describe('a cluster on a disk that is full', { skip: whyNoRoot() }, () => {
  const DISK_MB = 192

  it('refuses writes with a clear message, goes on reading, and recovers when there is room again', async () => {
    const cluster = await TestCluster.create('disk')
    await mustRun(['mount', '-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', cluster.home])
    try {
      await cluster.up('--nodes', 'none')
      await cluster.kubectl('create configmap before')
      const filler = join(cluster.home, 'filler')
      await run(['dd', 'if=/dev/zero', `of=${filler}`, 'bs=64k'])
      const page = 'x'.repeat(500_000)
      const write = (name: string) =>
        cluster.tryKubectl('create -f -', {
          input: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { page } }),
        })
      const refused = await waitFor('a refusal', async () => {
        const finished = await write(`full-${Math.random().toString(36).slice(2)}`)
        return finished.code === 0 ? undefined : finished
      })
      assert.match(refused.stderr, /no room left; free some space and try again/)
      assert.match(await cluster.kubectl('get configmap before'), /before/)
      await rm(filler)
      await waitFor('writes to go through again', async () => (await write('after')).code === 0)
      await cluster.mustCentaurus(['down'])
      await cluster.up()
      assert.match(await cluster.kubectl('get configmap before after'), /before[^]*after/)
    } finally {
      await cluster.mustCentaurus(['down'])
      await cluster.destroy()
    }
  })
})

describe('a cluster without root', () => {
  it('runs simulated nodes for an ordinary user from a fresh copy, and says that they are simulated', async () => {
    const isRoot = process.getuid?.() === 0
    const copy = await copyCheckout()
    const asNobody = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
    const cluster = await TestCluster.create('plain', { root: copy, prefix: asNobody })
    const kubectl = (args: string): Promise<string> => cluster.mustCentaurus(['kubectl', ...args.split(' ')])
    try {
      if (isRoot) {
        await mustRun(['chown', '65534:65534', cluster.home, copy])
        const refused = await cluster.centaurus(['up'])
        assert.match(refused.stderr, /real containers need root.*--nodes simulated:5/s)
      }
      assert.match(await cluster.up('--nodes', 'simulated:5'), /Start 5 simulated nodes/)
      const nodes = await kubectl('get nodes -o wide')
      assert.equal(nodes.match(/\bReady\b/g)?.length, 5)
      assert.match(nodes, /simulated/)
      await kubectl('create deployment web --image=any/image:1 --replicas=10')
      await kubectl('rollout status deployment/web --timeout=60s')
    } finally {
      await cluster.remove()
      await rm(copy, { recursive: true, force: true })
    }
  })
})

/** What a clone holds, and the installed packages beside it (as hard links where possible), so that no registry is needed. */
async function copyCheckout(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'centaurus-copy-'))
  const files = (await mustRun(['git', '-C', ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']))
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(ROOT, file)))
  const pack = 'tar -cf - --null -T - | tar -xf - -C "$1"'
  await mustRun(['sh', '-c', pack, 'sh', copy], { cwd: ROOT, input: files.join('\0') })
  await mustRun(['sh', '-c', 'cp -al "$1" "$2" || cp -a "$1" "$2"', 'sh', join(ROOT, 'node_modules'), copy])
  return copy
}
