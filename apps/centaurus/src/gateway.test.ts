import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { namespaces, nodes } from '@centaurus/api/core/v1'
import { openClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createHttpClient, loadKubeconfig } from '@centaurus/client/http'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { findDaemon } from './daemons.ts'
import { gatewayHome } from './gateway-home.ts'
import { createHome, homeAt } from './home.ts'
import { DEFAULT_SETTINGS, writeSettings } from './settings.ts'

const WAIT_MS = 30_000
const POLL_MS = 25

describe('centaurus gateway', () => {
  const home = homeAt(mkdtempSync(join(tmpdir(), 'gateway-')))
  let store: Store
  let plane: ControlPlane
  let port = 0

  before(async () => {
    createHome(home)
    store = createMemoryStore()
    plane = await startControlPlane({
      store,
      certificates: await openClusterCertificates({ directory: home.pkiDir }),
      port: 0,
      host: '127.0.0.1',
      advertiseAddress: '127.0.0.1',
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    writeFileSync(home.kubeconfig, plane.kubeconfig)
    writeSettings(home, { ...DEFAULT_SETTINGS, port: plane.port, nodes: { type: 'none' } })
    port = await freePort()
  })
  after(async () => {
    await run('gateway', '--port', String(port), '--remove')
    await plane.close()
    await store.close()
    rmSync(home.dir, { recursive: true })
  })

  const run = (...args: string[]): Promise<{ code: number; output: string }> =>
    new Promise((resolve) => {
      const main = join(import.meta.dirname, 'main.ts')
      const env = { ...process.env, CENTAURUS_HOME: home.dir }
      execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr }),
      )
    })

  it('starts an address that leads to the cluster, and gives it no key of the authority', async () => {
    const started = await run('gateway', '--port', String(port), '--listen', '127.0.0.1')
    assert.equal(started.code, 0, started.output)
    assert.match(started.output, new RegExp(`The gateway is up at https://127.0.0.1:${port}`))
    const own = gatewayHome(home, port)
    assert.ok(!readdirSync(own.pkiDir).includes('ca.key'))
    const client = createHttpClient((await loadKubeconfig(own.kubeconfig)).config)
    await plane.client.create(nodes, { metadata: { name: 'n' } })
    assert.deepEqual(
      (await client.list(nodes)).items.map((item) => item.metadata.name),
      ['n'],
    )
    await client.create(namespaces, { metadata: { name: 'made' } })
    assert.equal((await plane.client.get(namespaces, { name: 'made' })).metadata.name, 'made')
    await client.close()
  })

  it('runs on when it is started again, and comes back when it is killed', async () => {
    const own = gatewayHome(home, port)
    const first = findDaemon(own, 'gateway-server')
    assert.match((await run('gateway', '--port', String(port), '--listen', '127.0.0.1')).output, /already up/)
    assert.equal(findDaemon(own, 'gateway-server')?.pid, first?.pid)
    process.kill(first!.pid, 'SIGKILL')
    await until(() => ![undefined, first!.pid].includes(findDaemon(own, 'gateway-server')?.pid))
    const client = createHttpClient((await loadKubeconfig(own.kubeconfig)).config)
    await until(() =>
      client.list(nodes).then(
        () => true,
        () => false,
      ),
    )
    await client.close()
  })

  it('is gone when it is removed', async () => {
    const removed = await run('gateway', '--port', String(port), '--remove')
    assert.equal(removed.code, 0, removed.output)
    assert.equal(existsSync(gatewayHome(home, port).dir), false)
    const again = await run('gateway', '--port', String(port), '--remove')
    assert.match(again.output, /There is no gateway at port/)
  })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Waits for a state that another process brings about. */
async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; !(await check());) {
    assert.ok(performance.now() < deadline, 'state was not reached')
    await systemClock.sleep(POLL_MS)
  }
}
