import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createKubeconfig } from '@centaurus/apiserver'
import { registerDaemon } from '../daemons.ts'
import { createHome, findHome, type Home } from '../home.ts'
import { explainNetwork, type ExplainOptions } from './network-explain.ts'
import { moveTenant } from './tenant-move.ts'
import { createTenant, deleteTenant, listTenants, printTenantKubeconfig } from './tenant.ts'

const QUESTION: ExplainOptions = {
  source: 'web',
  target: 'db',
  port: '5432',
  namespace: 'default',
  protocol: 'TCP',
  json: false,
}

/** Where nobody listens. */
async function findClosedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('commands without a cluster', () => {
  let home: Home
  let server: string

  before(async () => {
    home = findHome({ CENTAURUS_HOME: mkdtempSync(join(tmpdir(), 'centaurus-home-')) })
    createHome(home)
    server = `https://127.0.0.1:${await findClosedPort()}`
    writeFileSync(home.kubeconfig, createKubeconfig({ server, ca: '', token: 'secret' }))
  })
  after(() => rmSync(home.dir, { recursive: true, force: true }))

  const commands: Record<string, () => Promise<void>> = {
    'tenant create': () => createTenant(home, 'acme', {}),
    'tenant list': () => listTenants(home, { json: false }),
    'tenant delete': () => deleteTenant(home, 'acme'),
    'tenant kubeconfig': () => printTenantKubeconfig(home, 'acme', {}),
    'tenant move': () => moveTenant(home, 'acme', { to: 'tp1' }),
    'network explain': () => explainNetwork(home, QUESTION),
    'network explain, of a tenant': () => explainNetwork(home, { ...QUESTION, tenant: 'acme' }),
  }
  it('say that no cluster runs', async () => {
    const message = `There is no cluster that runs in ${home.dir}. Start one with ./centaurus up`
    for (const run of Object.values(commands)) await assert.rejects(run(), { name: 'UserError', message })
  })
  describe('when the API can’t be reached', () => {
    before(() => registerDaemon(home, 'control-plane'))
    for (const [name, run] of Object.entries(commands))
      it(`say so: ${name}`, () =>
        assert.rejects(run(), {
          name: 'UserError',
          message: `Cannot reach the cluster at ${server}: is it up? ./centaurus status tells`,
        }))
  })
})
