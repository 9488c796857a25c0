import assert from 'node:assert/strict'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '@centaurus/store/testing'
import { bundledTool } from '../apps/centaurus/src/bundled-kubectl.ts'
import { ROOT } from './lib/cluster.ts'
import { destroyHome, homePrefix, isAlive, sweepLeftovers } from './lib/leftovers.ts'
import { mustRun, waitFor } from './lib/processes.ts'

const COMMAND_TIMEOUT_MS = 120_000

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** On the machine's own loopback, where the etcd of the test listens. */
describe('several API servers of one partition, over one etcd', { skip: whyNoEtcd() }, () => {
  let etcd: EtcdServer
  let home: string
  const ports: number[] = []

  before(async () => {
    await sweepLeftovers()
    etcd = await startEtcdServer({ tls: true })
    home = await mkdtemp(homePrefix('replicas'))
    for (let i = 0; i < 3; i++) ports.push(await freePort())
  })
  after(async () => {
    if (home !== undefined) await destroyHome(home)
    await etcd?.close()
  })

  const centaurus = (...args: string[]): Promise<string> =>
    mustRun([join(ROOT, 'centaurus'), ...args], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      env: { ...process.env, CENTAURUS_HOME: home, NODE_OPTIONS: '' },
    })
  /** As the administrator of the tenant, at one of the servers. */
  const acmeAt = (port: number, args: string): Promise<string> =>
    mustRun(
      [
        bundledTool('kubectl'),
        `--kubeconfig=${join(home, 'acme')}`,
        `--server=https://127.0.0.1:${port}`,
        ...args.split(' '),
      ],
      { timeoutMs: COMMAND_TIMEOUT_MS },
    )
  /** As the operators, at one of the servers. */
  const operatorAt = (port: number, args: string): Promise<string> =>
    mustRun(
      [
        bundledTool('kubectl'),
        `--kubeconfig=${join(home, 'partitions/tp1/kubeconfig')}`,
        `--server=https://127.0.0.1:${port}`,
        ...args.split(' '),
      ],
      { timeoutMs: COMMAND_TIMEOUT_MS },
    )
  /** The server whose scheduler and controllers run, as the one at `port` knows. */
  const leaderSeenAt = async (port: number): Promise<number> => {
    const holder = await operatorAt(
      port,
      'get lease centaurus-partition-leader -n kube-system -o jsonpath={.spec.holderIdentity}',
    )
    return Number(holder.split(':').at(-1))
  }
  const untilLed = (by: number): Promise<boolean> =>
    waitFor(`the server at ${by} to lead`, async () => (await leaderSeenAt(by)) === by)
  const pidsOf = async (port: number): Promise<[supervisor: number, server: number]> => {
    const folder = port === ports[1] ? 'partitions/tp1' : `partitions/tp1/servers/${port}`
    const pid = async (file: string): Promise<number> =>
      (JSON.parse(await readFile(join(home, folder, 'run', file), 'utf8')) as { pid: number }).pid
    return [await pid('control-plane.supervisor.json'), await pid('control-plane.json')]
  }
  const other = (port: number): number => (port === ports[1] ? ports[2]! : ports[1]!)
  const scaleAt = async (port: number, replicas: number): Promise<void> => {
    await acmeAt(port, `scale deployment web --replicas=${replicas}`)
    await acmeAt(port, 'rollout status deployment/web --timeout=60s')
  }
  /** Uid and node of each pod, sorted. */
  const placesAt = async (port: number): Promise<string[]> =>
    (await acmeAt(port, 'get pods -o jsonpath={range.items[*]}{.metadata.uid}@{.spec.nodeName}{"\\n"}{end}'))
      .trim()
      .split('\n')
      .toSorted()

  it('go on with scheduling and everything else when the one that leads dies, whichever it is', async () => {
    const [homePort, first, second] = ports as [number, number, number]
    const { ca, cert, key } = etcd.tlsFiles!
    const store = ['--store', 'etcd', '--etcd-endpoints', etcd.endpoints.join(',')]
    const tls = ['--etcd-ca', ca, '--etcd-cert', cert, '--etcd-key', key]
    const reach = ['--listen', '127.0.0.1', '--advertise', '127.0.0.1']
    await centaurus('up', '--port', String(homePort), '--nodes', 'simulated:2', ...reach)
    await centaurus('partition', 'add', 'tp1', '--roles', 'tenant', '--port', String(first), ...store, ...tls)
    await centaurus('partition', 'add-server', 'tp1', '--port', String(second))
    await centaurus('tenant', 'create', 'acme', '--partition', 'tp1')
    await writeFile(join(home, 'acme'), await centaurus('tenant', 'kubeconfig', 'acme'))
    await acmeAt(first, 'create deployment web --image=web --replicas=2')
    await acmeAt(second, 'rollout status deployment/web --timeout=60s')
    await waitFor('home to know both servers', async () => {
      const list = JSON.parse(await centaurus('partition', 'list', '--json')) as { name: string; endpoints: string[] }[]
      return list.find(({ name }) => name === 'tp1')?.endpoints.length === 2
    })
    const led: number[] = []
    for (const replicas of [4, 6]) {
      const leader = await leaderSeenAt(first)
      led.push(leader)
      const pids = await pidsOf(leader)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      await waitFor('the one that led to be gone', async () => pids.every((pid) => !isAlive(pid)))
      await scaleAt(other(leader), replicas)
      await untilLed(other(leader))
      await centaurus('up')
      assert.match(await acmeAt(leader, 'get deployment web'), new RegExp(`${replicas}/${replicas}`))
    }
    assert.deepEqual(led.toSorted(), [first, second].toSorted())
  })

  it('let one bind nothing that was frozen while it led, and another came to lead', async () => {
    const frozen = await leaderSeenAt(ports[1]!)
    const next = other(frozen)
    const [, pid] = await pidsOf(frozen)
    process.kill(pid, 'SIGSTOP')
    let places: string[]
    try {
      await scaleAt(next, 8)
      await untilLed(next)
      places = await placesAt(next)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    assert.equal(places.length, 8)
    // It has seen the pods that wait when it has read this: what it would bind, it binds now.
    assert.deepEqual(await placesAt(frozen), places)
    assert.equal(await leaderSeenAt(frozen), next)
    await scaleAt(frozen, 9)
    assert.deepEqual(
      (await placesAt(next)).filter((place) => places.includes(place)),
      places,
    )
    const claims = await mustRun([
      bundledTool('kubectl'),
      `--kubeconfig=${join(home, 'kubeconfig')}`,
      'get',
      'nodeallocations',
      '-o',
      'jsonpath={.items[*].status.claims[*].uid}',
    ])
    const claimed = claims.split(' ').toSorted()
    assert.deepEqual(claimed, (await placesAt(next)).map((place) => place.split('@')[0]).toSorted())
    await acmeAt(frozen, 'delete deployment web')
    await waitFor('its pods to be gone', async () => (await acmeAt(next, 'get pods -o name')) === '')
  })
})
