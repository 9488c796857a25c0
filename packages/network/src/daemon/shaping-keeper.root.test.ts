import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { silentLogger, systemClock } from '@centaurus/base'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { listQdiscs } from '../host/qdiscs.ts'
import { SHAPING_LEVELS } from '../layouts/shaping.ts'
import { openTestDataplane, type TestDataplane } from '../testing/index.ts'
import type { StatedBandwidth } from './describe-shaping.ts'
import { startShapingKeeper, type ShapingKeeper } from './shaping-keeper.ts'

const run = (command: string): string => {
  const [name, ...args] = command.split(' ')
  return execFileSync(name!, args, { encoding: 'utf8', stdio: 'pipe' })
}
const waitUntil = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await systemClock.sleep(20)
}
const rootOf = async (device: string): Promise<string | undefined> =>
  (await listQdiscs(device)).find(({ root }) => root === true)?.kind

if (!isInNamespaces()) {
  describe('what shares the uplink', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('what shares the uplink', () => {
    let host: TestDataplane
    let keeper: ShapingKeeper
    let device: string | undefined
    let stated: StatedBandwidth = { bandwidth: 1e9 }

    before(async () => {
      for (const name of ['eth0', 'eth1']) {
        run(`ip link add ${name} type veth peer name ${name}-peer`)
        run(`ip link set ${name} up`)
      }
      host = await openTestDataplane()
      keeper = startShapingKeeper({
        dataplane: host.tables,
        device: () => device,
        stated: () => stated,
        clock: systemClock,
        logger: silentLogger,
      })
    })
    after(async () => {
      await keeper.close()
      host.close()
    })

    it('waits for the machine to be on a network', () => {
      assert.equal(keeper.state.device, undefined)
      assert.equal(host.tables.readShaping().mode, 'none')
    })

    it('says so when a device can not be set up', async () => {
      device = 'gone'
      host.tables.setShaper({ id: 17, level: 0 })
      await keeper.followShapers()
      assert.deepEqual([keeper.state.device, keeper.state.problem?.reason], ['gone', 'Failed'])
      host.tables.removeShaper(17)
    })

    it('tells programs to shape by what the queues of the device can', async () => {
      device = 'eth0'
      await waitUntil(() => keeper.state.device === 'eth0' && keeper.state.problem?.reason !== 'Failed')
      const { mode } = keeper.state
      assert.equal(await rootOf('eth0'), mode === 'edt' ? 'fq' : 'noqueue')
      assert.equal(host.tables.readShaping().mode, mode)
      assert.equal(keeper.state.bandwidth, 1e9)
    })

    it('gives levels rates when it is by departure times, and pods classes when it is by HTB', async () => {
      host.tables.setShaper({ id: 16, level: 7, egressBandwidth: 10e6 })
      await keeper.followShapers()
      if (keeper.state.mode === 'htb')
        assert.match(run('tc class show dev eth0'), /class htb ce00:110 parent ce00:f7 .*rate 10Mbit/)
      else {
        await waitUntil(() => keeper.state.rates.every((rate) => rate !== undefined))
        assert.equal(host.tables.readShaping().rates[0], 0.98e9)
      }
    })

    it('moves to another device, and leaves nothing at the old one', async () => {
      device = 'eth1'
      stated = { problem: { reason: 'BadLinkBandwidth', message: 'says nothing' } }
      await waitUntil(() => keeper.state.device === 'eth1')
      assert.equal(await rootOf('eth0'), 'noqueue')
      assert.notEqual(await rootOf('eth1'), 'noqueue')
      assert.equal(keeper.state.problem?.reason, 'BadLinkBandwidth')
      // a veth's speed is made up
      assert.equal(keeper.state.bandwidth, undefined)
    })

    it('holds nobody back once it stops', async () => {
      await keeper.close()
      const { rates } = host.tables.readShaping()
      assert.deepEqual(
        rates,
        Array.from({ length: SHAPING_LEVELS }, () => undefined),
      )
    })
  })
}
