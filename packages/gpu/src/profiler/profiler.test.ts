import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import type { GpuGrant } from '@centaurus/api/gpu'
import { createManualClock, silentLogger, systemClock, type Clock } from '@centaurus/base'
import { containerKey, ContainerFolders } from '../containers/container-folders.ts'
import type { GpuUse, HostGpu } from '../sources/device-source.ts'
import { gpuUuid, openGpuWorld, type GpuWorld } from '../testing/gpu-world.ts'
import { until } from '../testing/kubelet.ts'
import type { JobProfile } from './core/job-profile.ts'
import type { ContainerProfile } from './core/profile-annotation.ts'
import { ProfileBook } from './profile-book.ts'
import { formatProfileMetrics } from './profile-metrics.ts'
import { startProfiler, type Profiler } from './profiler.ts'

const U1 = gpuUuid(1)
const MIB = 2 ** 20
const MINUTE_MS = 60_000

function podOf(name: string, grant: Omit<GpuGrant, 'uuid'> = {}, job = 'train'): Pod {
  const allocation = { c: [{ uuid: U1, ...grant }] }
  const annotations = { 'centaurus.io/gpu-allocation': JSON.stringify(allocation) }
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: job, uid: 'j', controller: true }
  return {
    metadata: { name, namespace: 'ns', uid: name, annotations, ownerReferences: [owner] },
    spec: { containers: [{ name: 'c', image: 'i' }] },
    status: { phase: 'Running' },
  }
}

describe('the profiler', () => {
  let dir: string
  let folders: ContainerFolders
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'gpu-profiler-'))
    folders = new ContainerFolders(dir)
  })
  after(() => rmSync(dir, { recursive: true }))

  interface Start {
    readonly pods: () => readonly Pod[]
    readonly clock: Clock
    readonly use?: () => GpuUse
  }
  /** Ends with the test. */
  function start(t: TestContext, { pods, clock, use }: Start) {
    const told: [string | undefined, ContainerProfile][] = []
    const profiler = startProfiler({
      folders,
      pods,
      readUse: async () => (use === undefined ? [] : [use()]),
      book: new ProfileBook(join(dir, 'profiles.json'), silentLogger),
      tell: async ({ pod }, profile) => void told.push([pod.metadata.name, profile]),
      clock,
      logger: silentLogger,
    })
    t.after(() => profiler.close())
    return { profiler, told }
  }
  const statusOf = (profiler: Profiler, pod: Pod): ContainerProfile | undefined =>
    profiler.profileOf({ pod, container: 'c', grants: [], priority: 0, state: 'active' })

  it('learns what a job with a whole GPU does and needs, and knows it of its next pod after a restart', async (t) => {
    const clock = createManualClock()
    const use = (): GpuUse => ({
      uuid: U1,
      gpuPercent: (clock.monotonicMs() / 1_000) % 20 < 14 ? 90 : 5,
      memoryPercent: 3,
      memoryUsedMiB: 8_192,
      processes: [],
    })
    const first = start(t, { pods: () => [podOf('p1')], clock, use })
    await clock.advance(11 * MINUTE_MS)
    const expected = { kind: 'training', periodSeconds: 20, memoryMiB: 9_472, compute: 100 }
    assert.deepEqual(first.told.at(-1), ['p1', expected])
    assert.deepEqual(
      first.profiler.readings.map(({ sample }) => sample.memoryBytes),
      [8_192 * MIB],
    )
    first.profiler.close()
    const second = start(t, { pods: () => [podOf('p2')], clock, use })
    assert.deepEqual(statusOf(second.profiler, podOf('p2')), expected)
  })

  it('forgets a file that it can not read', async (t) => {
    writeFileSync(join(dir, 'profiles.json'), '{"version":1,"profiles":[["a",{"compute":"x"}],7]}')
    assert.equal(statusOf(start(t, { pods: () => [], clock: createManualClock() }).profiler, podOf('p')), undefined)
    writeFileSync(join(dir, 'profiles.json'), '{{{')
    assert.equal(statusOf(start(t, { pods: () => [], clock: createManualClock() }).profiler, podOf('p')), undefined)
  })

  describe('with programs that run', () => {
    let world: GpuWorld
    before(async () => {
      world = await openGpuWorld({ devices: `${U1} memoryMiB=2048 contextMiB=64\n`, clock: 'real' })
    })
    after(() => world.close())

    it('sees what two containers do with one GPU, and forgets them when they are gone', async (t) => {
      const pods = [podOf('a', { memoryMiB: 512, compute: 40 }), podOf('b', { memoryMiB: 1024, compute: 30 }, 'serve')]
      let listed = pods
      const programs = pods.map(({ metadata }) => {
        const { c: grants } = JSON.parse(metadata.annotations!['centaurus.io/gpu-allocation']!) as { c: GpuGrant[] }
        const key = containerKey(metadata.uid!, 'c')
        folders.prepare(key, { grants, priority: 0 })
        const container = dirname(dirname(folders.usageFile(key)))
        return world.start('load', ['kernel=1000000', 'for=60000'], { container })
      })
      const { profiler } = start(t, { pods: () => listed, clock: systemClock })
      const seen = (): number => profiler.readings.filter(({ launches }) => launches > 0).length
      await until(() => seen() === 2, 'what both do')
      const device: HostGpu = { uuid: U1, index: 0, model: 'M', memoryMiB: 2048, problem: undefined, files: [] }
      const input = { node: 'n', devices: [device], uses: [], containers: profiler.readings }
      const { text } = await formatProfileMetrics(input)
      const valueOf = (metric: string, pod: string): number => {
        const found = new RegExp(`^${metric}\\{(?=[^}]*pod(?:_name)?="${pod}")[^}]*\\} (.*)$`, 'm').exec(text)
        return Number(found?.[1])
      }
      for (const [pod, freeMiB] of [
        ['a', 512 - 66],
        ['b', 1024 - 66],
      ] as const) {
        assert.equal(valueOf('DCGM_FI_DEV_FB_USED', pod), 66)
        assert.equal(valueOf('DCGM_FI_DEV_FB_FREE', pod), freeMiB)
        assert.ok(valueOf('DCGM_FI_DEV_GPU_UTIL', pod) > 0, text)
        assert.ok(valueOf('alnair_cuda_launch_kernel_cnt', pod) > 0, text)
        assert.equal(valueOf('alnair_cuda_mem_used', pod), 66 * MIB)
        assert.ok(Number.isFinite(valueOf('alnair_cuda_available_token', pod)), text)
      }
      listed = pods.slice(1)
      await until(() => profiler.readings.length === 1, 'the first to be forgotten')
      for (const { child, ended } of programs) {
        child.kill('SIGKILL')
        await ended
      }
      await until(() => profiler.readings[0]!.sample.memoryBytes === 0, 'the memory of killed programs to go')
      profiler.close()
      const { profiles } = JSON.parse(readFileSync(join(dir, 'profiles.json'), 'utf8')) as {
        profiles: [string, JobProfile][]
      }
      const { beside } = new Map(profiles).get('ns Job/serve c i')!
      assert.ok(beside['ns Job/train c i']!.launches > 0, JSON.stringify(beside))
    })
  })
})

describe('formatProfileMetrics', () => {
  it('tells what the driver says of a GPU, without a pod', async () => {
    const device: HostGpu = { uuid: U1, index: 3, model: 'Tesla T4', memoryMiB: 100, problem: undefined, files: [] }
    const use: GpuUse = { uuid: U1, gpuPercent: 7, memoryPercent: 2, memoryUsedMiB: 30, processes: [] }
    const { text } = await formatProfileMetrics({ node: 'n', devices: [device], uses: [use], containers: [] })
    const labels = `{gpu="3",UUID="${U1}",modelName="Tesla T4",Hostname="n",namespace="",pod="",container=""}`
    for (const line of [
      `GPU_UTIL${labels} 7`,
      `MEM_COPY_UTIL${labels} 2`,
      `FB_USED${labels} 30`,
      `FB_FREE${labels} 70`,
    ])
      assert.ok(text.includes(`DCGM_FI_DEV_${line}\n`), text)
  })
})
