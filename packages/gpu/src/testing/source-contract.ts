import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { formatGpuInventory, parseGpuInventory } from '@centaurus/api/gpu'
import { createManualClock, silentLogger } from '@centaurus/base'
import { inventoryOf } from '../inventory/inventory-of.ts'
import type { DeviceProbe } from '../sources/device-source.ts'
import { openDeviceSource, type DeviceSource } from '../sources/open-device-source.ts'

/** A host with four GPUs at the least, of which a test can break one. */
export interface ContractHost {
  /** Another one each time, of the same host. */
  probe(): DeviceProbe
  breakGpu(index: number): void
  mendAll(): void
  close(): void
}

/** What every source of devices must do. */
export function describeSourceContract(name: string, openHost: () => ContractHost): void {
  describe(`${name} honours the contract of device sources`, () => {
    const closers: (() => Promise<void> | void)[] = []
    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close()
    })
    const open = async () => {
      const host = openHost()
      closers.push(() => host.close())
      const clock = createManualClock()
      const source = await openDeviceSource(host.probe(), { clock, logger: silentLogger })
      closers.push(() => source.close())
      return { host, clock, source }
    }

    it('tells devices that make an inventory', async () => {
      const { source } = await open()
      const inventory = inventoryOf(source.gpus)
      assert.ok(inventory.devices.length >= 4)
      assert.deepEqual(
        inventory.devices.map(({ index }) => index),
        inventory.devices.map((_, i) => i),
      )
      assert.deepEqual(parseGpuInventory(formatGpuInventory(inventory)), inventory)
      assert.ok(inventory.devices.every(({ healthy }) => healthy))
    })

    it('gives a device the same uuid always', async () => {
      const { host, source } = await open()
      const again = await openDeviceSource(host.probe(), { clock: createManualClock(), logger: silentLogger })
      closers.push(() => again.close())
      assert.deepEqual(again.gpus, source.gpus)
    })

    it('tells that a device went wrong and why, and that it is well again', async () => {
      const { host, source } = await open()
      const seen: (string | undefined)[][] = []
      source.onChange(() => seen.push(source.gpus.devices.map(({ problem }) => problem)))
      host.breakGpu(1)
      await source.look()
      host.mendAll()
      await untilHealthy(source)
      assert.match(seen[0]?.[1] ?? '', /\w+ \w+/)
      assert.deepEqual(seen[0]?.[0], undefined)
      assert.ok(seen.at(-1)?.every((problem) => problem === undefined))
    })

    it('keeps quiet when nothing changes', async () => {
      const { source } = await open()
      const before = source.gpus
      let calls = 0
      source.onChange(() => calls++)
      await source.look()
      assert.equal(calls, 0)
      assert.equal(source.gpus, before)
    })

    it('tells the use of its own devices alone', async () => {
      const { source } = await open()
      const uuids = new Set(source.gpus.devices.map(({ uuid }) => uuid))
      for (const { uuid } of await source.readUse()) assert.ok(uuids.has(uuid))
    })

    it('tells nothing after it was closed', async () => {
      const { host, source } = await open()
      let calls = 0
      source.onChange(() => calls++)
      await source.close()
      host.breakGpu(1)
      await source.look()
      assert.equal(calls, 0)
    })
  })
}

const LOOKS_MAX = 3

/** A driver that begins anew may need a second look. */
async function untilHealthy(source: DeviceSource): Promise<void> {
  for (let i = 0; i < LOOKS_MAX; i++) {
    await source.look()
    if (source.gpus.devices.every(({ problem }) => problem === undefined)) return
  }
}
