import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { markReady, registerDaemon } from '../daemons.ts'
import { createHome, findHome, type Home } from '../home.ts'
import { networkSocket } from '../network-daemon-client.ts'
import { DEFAULT_SETTINGS, writeSettings } from '../settings.ts'
import { runCli } from '../testing/run-cli.ts'

describe('the status of a cluster', () => {
  let home: Home
  let network: Server
  /** What the network says that it waits for. */
  let notReady: string | undefined

  before(async () => {
    home = findHome({ CENTAURUS_HOME: mkdtempSync(join(tmpdir(), 'centaurus-status-')) })
    createHome(home)
    writeSettings(home, DEFAULT_SETTINGS)
    for (const name of ['control-plane', 'node', 'network'] as const) registerDaemon(home, name)
    network = createServer((_, response) => response.end(JSON.stringify({ notReady }))).listen(networkSocket(home))
    await once(network, 'listening')
  })
  after(() => {
    network.close()
    rmSync(home.dir, { recursive: true, force: true })
  })

  const lineOf = async (name: string): Promise<string> => {
    const { stdout } = await runCli(['status'], { CENTAURUS_HOME: home.dir })
    return stdout.split('\n').find((line) => line.startsWith(name)) ?? stdout
  }

  it('takes a process for ready when it says so, and not before', async () => {
    assert.match(await lineOf('node'), /not ready.*node\.log/)
    markReady(home, 'node')
    assert.match(await lineOf('node'), /running {4}pid/)
  })

  it('says what the network waits for, before and after it was ready', async () => {
    notReady = 'it has not heard of vpcs yet'
    assert.match(await lineOf('network'), /not ready.*it has not heard of vpcs yet/)
    markReady(home, 'network')
    assert.match(await lineOf('network'), /not ready.*it has not heard of vpcs yet/)
    notReady = undefined
    assert.match(await lineOf('network'), /running {4}pid/)
  })

  it('takes a control plane that does not answer for not ready', async () => {
    assert.match(await lineOf('control-plane'), /not ready/)
    const { code, stdout } = await runCli(['status', '--json'], { CENTAURUS_HOME: home.dir })
    assert.equal(code, 1)
    const { processes } = JSON.parse(stdout) as { processes: { name: string; ready: boolean }[] }
    assert.deepEqual(
      processes.map(({ name, ready }) => [name, ready]),
      [
        ['control-plane', false],
        ['node', true],
        ['network', true],
      ],
    )
  })
})
