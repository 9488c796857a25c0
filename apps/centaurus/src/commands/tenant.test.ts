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
import { moveTenant } from './tenant-move.ts'
import { createTenant, deleteTenant, listTenants, printTenantKubeconfig } from './tenant.ts'

/** Where nobody listens. */
async function findClosedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('centaurus tenant', () => {
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
    create: () => createTenant(home, 'acme', {}),
    list: () => listTenants(home, { json: false }),
    delete: () => deleteTenant(home, 'acme'),
    kubeconfig: () => printTenantKubeconfig(home, 'acme', {}),
    move: () => moveTenant(home, 'acme', { to: 'tp1' }),
  }
  it('says that no cluster runs', async () => {
    const message = `There is no cluster that runs in ${home.dir}. Start one with ./centaurus up`
    for (const run of Object.values(commands)) await assert.rejects(run(), { name: 'UserError', message })
  })
  describe('when the API can’t be reached', () => {
    before(() => registerDaemon(home, 'control-plane'))
    for (const [name, run] of Object.entries(commands))
      it(`says so: ${name}`, () =>
        assert.rejects(run(), {
          name: 'UserError',
          message: `Cannot reach the cluster at ${server}: is it up? ./centaurus status tells`,
        }))
  })
})
