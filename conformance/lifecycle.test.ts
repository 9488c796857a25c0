import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { run, waitFor } from './lib/processes.ts'

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
    await cluster.kubectl([
      'run',
      'steady',
      '--image=localhost/centaurus/busybox:1',
      '--',
      'sh',
      '-c',
      'trap exit TERM; while :; do sleep 1; done',
    ])
    await cluster.kubectl('wait --for=condition=Ready pod/steady --timeout=60s')
  })
  after(() => cluster?.remove())

  const steady = (): Promise<PodStatus> => cluster.json<PodStatus>('get pod steady')
  const pidOf = async (name: string): Promise<number> =>
    (JSON.parse(await readFile(join(cluster.home, 'run', `${name}.json`), 'utf8')) as { pid: number }).pid

  it('says what is already up when started again', async () => {
    const output = await cluster.up()
    assert.match(output, /already up/)
    assert.match(await cluster.mustCentaurus(['status']), /1 of 1 ready/)
    const refused = await cluster.centaurus(['up', '--port', '7001'])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /already runs with --port 6443/)
  })

  it('adopts running containers after the node agent was killed', async () => {
    const before = await steady()
    process.kill(await pidOf('node'), 'SIGKILL')
    await cluster.up()
    await cluster.kubectl('wait --for=condition=Ready pod/steady --timeout=30s')
    const after = await steady()
    assert.equal(after.status.containerStatuses[0]!.containerID, before.status.containerStatuses[0]!.containerID)
    assert.equal(after.status.containerStatuses[0]!.restartCount, 0)
  })

  it('loses nothing that it acknowledged when the control plane is killed', async () => {
    for (let round = 0; round < 3; round++) {
      const name = `survivor-${round}`
      await cluster.kubectl(`create configmap ${name}`)
      process.kill(await pidOf('control-plane'), 'SIGKILL')
      await cluster.up()
      assert.match(await cluster.kubectl(`get configmap ${name}`), new RegExp(name))
    }
    const pod = await steady()
    assert.equal(pod.status.containerStatuses[0]!.restartCount, 0, 'pods go on without a control plane')
  })

  it('keeps objects and pods over down and up', async () => {
    const { metadata } = await steady()
    assert.match(await cluster.mustCentaurus(['down']), /cluster is down/)
    assert.equal((await cluster.centaurus(['status'])).code, 1)
    await cluster.up()
    assert.match(await cluster.kubectl('get configmap kept -o jsonpath={.data.a}'), /1/)
    await waitFor('the pod to run again', async () => {
      const pod = await steady()
      return pod.metadata.uid === metadata.uid && pod.status.containerStatuses[0]?.ready === true
    })
  })

  it('prints the logs of its processes', async () => {
    const { stdout } = await cluster.centaurus(['logs', 'control-plane', '-n', '5'])
    assert.ok(stdout.trim().length > 0)
    const unknown = await cluster.centaurus(['logs', 'nobody'])
    assert.match(unknown.stderr, /There is no log named "nobody"/)
  })
})

describe('a cluster that cannot start', () => {
  it('names the port that is in use and the way out', async () => {
    const cluster = await TestCluster.create('port')
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '0.0.0.0', resolve))
    const port = (holder.address() as { port: number }).port
    try {
      const { code, stderr, stdout } = await cluster.centaurus(['up', '--nodes', 'none', '--port', String(port)])
      assert.equal(code, 1)
      assert.match(stdout + stderr, new RegExp(`port ${port}.*in use.*--port`, 's'))
    } finally {
      holder.close()
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

describe('a cluster without root', () => {
  it('runs simulated nodes as an ordinary user, and says that they are simulated', async () => {
    const asNobody = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
    const cluster = await TestCluster.create('plain', { prefix: asNobody })
    await run(['chown', '-R', '65534:65534', cluster.home])
    try {
      if (asNobody.length > 0) {
        const refused = await cluster.centaurus(['up'])
        assert.match(refused.stderr, /real containers need root.*--nodes simulated:5/s)
      }
      await cluster.up('--nodes', 'simulated:5', '--port', '16443')
      const nodes = await cluster.kubectl('get nodes -o wide')
      assert.equal(nodes.match(/\bReady\b/g)?.length, 5)
      assert.match(nodes, /simulated/)
      await cluster.kubectl('create deployment web --image=any/image:1 --replicas=10')
      await cluster.kubectl('rollout status deployment/web --timeout=60s')
    } finally {
      await cluster.remove()
    }
  })
})
