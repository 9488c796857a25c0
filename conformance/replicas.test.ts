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
  const pidOf = async (file: string): Promise<number> => {
    const record = JSON.parse(await readFile(join(home, 'partitions/tp1/run', file), 'utf8')) as { pid: number }
    return record.pid
  }

  it('go on with scheduling and everything else when the one that led dies', async () => {
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
    const pids = [await pidOf('control-plane.supervisor.json'), await pidOf('control-plane.json')]
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await waitFor('the first server to be gone', async () => pids.every((pid) => !isAlive(pid)))
    await acmeAt(second, 'scale deployment web --replicas=6')
    await acmeAt(second, 'rollout status deployment/web --timeout=60s')
    await centaurus('up')
    assert.match(await acmeAt(first, 'get deployment web'), /6\/6/)
    await acmeAt(first, 'delete deployment web')
    await waitFor('its pods to be gone', async () => (await acmeAt(second, 'get pods -o name')) === '')
  })
})
