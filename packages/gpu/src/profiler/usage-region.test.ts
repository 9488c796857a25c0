import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { gpuUuid, openGpuWorld, type GpuWorld } from '../testing/gpu-world.ts'
import { measureUse } from './measure-use.ts'
import { readUsage } from './read-usage.ts'
import { parseUsage, type Usage } from './usage-region.ts'

const MIB = 1024 * 1024
const U1 = gpuUuid(1)

/** A region with one device, and processes with these pids. */
function regionOf(pids: readonly number[]): Buffer {
  const region = Buffer.alloc(4096 + 256 * 1088)
  region.write('CENTGPU1', 'latin1')
  region.writeUInt32LE(1, 8)
  region.writeUInt32LE(pids.length, 12)
  region.writeUInt8(7, 256)
  for (const [n, pid] of pids.entries()) region.writeUInt32LE(pid, 4096 + n * 1088)
  return region
}

describe('parseUsage', () => {
  it('takes whatever a container wrote, and believes nothing that can not be', () => {
    const garbage = fc.record({ bytes: fc.uint8Array({ maxLength: 9_000 }), marked: fc.boolean() })
    fc.assert(
      fc.property(garbage, ({ bytes, marked }) => {
        const region = Buffer.from(bytes)
        if (marked && region.length >= 12) regionOf([]).copy(region, 0, 0, 12)
        const usage = parseUsage(region)
        for (const { devices } of usage?.processes ?? [])
          for (const { memoryBytes, launches } of devices) assert.ok(memoryBytes >= 0 && launches >= 0)
      }),
      { seed: 1 },
    )
  })

  it('knows no other version, and nothing that is empty', () => {
    const other = regionOf([1])
    other.writeUInt32LE(2, 8)
    assert.deepEqual(
      [parseUsage(other), parseUsage(Buffer.alloc(0)), parseUsage(Buffer.alloc(9000))],
      [undefined, undefined, undefined],
    )
    assert.equal(parseUsage(regionOf([1, 0, 3]))?.processes.length, 2)
    assert.equal(parseUsage(regionOf([1, 2, 3]).subarray(0, 4096 + 1088 + 5))?.processes.length, 1)
  })
})

describe('readUsage', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-usage-'))
  after(() => rmSync(dir, { recursive: true }))

  it('follows no link, and waits for nothing', () => {
    writeFileSync(join(dir, 'real'), regionOf([1]))
    symlinkSync(join(dir, 'real'), join(dir, 'link'))
    assert.equal(readUsage(join(dir, 'real'))?.processes.length, 1)
    for (const path of [join(dir, 'link'), dir, join(dir, 'none'), '/dev/null'])
      assert.equal(readUsage(path), undefined)
  })

  it('drops processes that died, and those whose pid another one has now', async () => {
    const child = spawn('true')
    await new Promise((resolve) => child.on('exit', resolve))
    const region = regionOf([1, 2, 3])
    region.writeUInt32LE(child.pid!, 4096 + 4)
    region.writeUInt32LE(process.pid, 4096 + 1088 + 4) // with another start
    writeFileSync(join(dir, 'dead'), region)
    assert.deepEqual(
      readUsage(join(dir, 'dead'))?.processes.map(({ pid }) => pid),
      [3],
    )
  })
})

describe('measureUse', () => {
  const usageOf = (chargedNs: number, launches: Readonly<Record<number, number>>): Usage => ({
    devices: [{ uuid: U1, chargedNs, waitedNs: 0, refused: 0, tokensNs: -5e6 }],
    processes: Object.entries(launches).map(([pid, count]) => ({
      pid: Number(pid),
      hostPid: 0,
      startTicks: 9n,
      devices: [{ memoryBytes: MIB, launches: count }],
    })),
  })

  it('counts what was done since, also by processes that came, and nothing for those that went', () => {
    const sample = measureUse(usageOf(1e9, { 1: 100, 2: 50 }), usageOf(1.5e9, { 1: 130, 3: 7 }), 2).get(U1)
    assert.deepEqual(sample, {
      seconds: 2,
      percent: 25,
      memoryBytes: 2 * MIB,
      launches: 37,
      waitedPercent: 0,
      refused: 0,
      tokensMs: -5,
    })
  })

  it('is never more than the device, nor less than nothing', () => {
    assert.equal(measureUse(usageOf(0, {}), usageOf(9e18, {}), 1).get(U1)?.percent, 100)
    assert.equal(measureUse(usageOf(9e18, { 1: 5 }), usageOf(0, { 1: 2 }), 1).get(U1)?.percent, 0)
    assert.equal(measureUse(usageOf(9e18, { 1: 5 }), usageOf(0, { 1: 2 }), 1).get(U1)?.launches, 0)
  })
})

describe('the region of a program that runs', () => {
  let world: GpuWorld
  before(async () => {
    world = await openGpuWorld({ devices: `${U1} memoryMiB=2048 contextMiB=64\n`, clock: 'real' })
  })
  after(() => world.close())

  it('tells its time, its launches and its memory, and forgets the memory when it was killed', async () => {
    const container = world.container(`${U1} memoryMiB=1024 compute=40\n`)
    const file = join(container, 'own/usage')
    assert.equal(readUsage(file), undefined) // nobody has used it
    const program = world.start('load', ['kernel=2000000', 'for=20000'], { container })
    const isBusy = (): boolean => (readUsage(file)?.devices[0]?.chargedNs ?? 0) > 0
    while (!isBusy()) await new Promise((resolve) => setTimeout(resolve, 20))
    const [first, from] = [readUsage(file)!, performance.now()]
    const launchesOf = (usage: Usage): number => usage.processes[0]?.devices[0]?.launches ?? 0
    while (launchesOf(readUsage(file)!) < launchesOf(first) + 300)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const sample = measureUse(first, readUsage(file)!, (performance.now() - from) / 1_000).get(U1)!
    assert.ok(sample.launches >= 300, `${sample.launches}`)
    assert.equal(sample.memoryBytes, 66 * MIB) // its context and its kernels
    assert.ok(sample.percent > 0 && sample.percent < 90 && sample.waitedPercent > 0, JSON.stringify(sample))
    program.child.kill('SIGKILL')
    await program.ended
    assert.deepEqual(readUsage(file)?.processes, [])
  })
})
