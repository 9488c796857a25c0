import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { GpuStatus } from '@centaurus/gpu'
import { registerDaemon } from '../daemons.ts'
import { gpuSocket } from '../gpu-daemon-client.ts'
import { createHome, findHome, type Home } from '../home.ts'
import { DEFAULT_SETTINGS, writeSettings } from '../settings.ts'
import { runCli } from '../testing/run-cli.ts'

const DEVICE = { model: 'Tesla T4', memoryMiB: 15_360, multiprocessors: 40, numa: 0, files: [], processes: 0 }
const USE = {
  usedMemoryMiB: 900,
  usedPercent: 37,
  profile: { kind: 'training', periodSeconds: 20.5, memoryMiB: 1280, compute: 30 },
} as const
const STATUS: GpuStatus = {
  node: 'n1',
  kind: 'nvidia',
  driverVersion: '550.54.15',
  problems: [],
  links: undefined,
  devices: [
    {
      ...DEVICE,
      uuid: 'GPU-a',
      index: 0,
      problem: undefined,
      gpuPercent: 37,
      memoryUsedMiB: 900,
      holders: [
        { namespace: 'd', pod: 'train', container: 'c', memoryMiB: 10_240, compute: 40, priority: 0, ...USE },
        { namespace: 'd', pod: 'infer', container: 'c', memoryMiB: 1024, priority: 1 },
      ],
    },
    {
      ...DEVICE,
      uuid: 'GPU-b',
      index: 1,
      problem: undefined,
      holders: [{ namespace: 'd', pod: 'big', container: 'c' }],
    },
  ],
}

describe('centaurus gpu status', () => {
  let home: Home
  const closers: (() => void)[] = []
  beforeEach(() => {
    home = findHome({ CENTAURUS_HOME: mkdtempSync(join(tmpdir(), 'gpu-status-')) })
    createHome(home)
  })
  afterEach(() => {
    for (const close of closers.splice(0)) close()
    rmSync(home.dir, { recursive: true })
  })

  async function show(status: GpuStatus, ...flags: string[]) {
    const server = createServer((_, response) => response.end(JSON.stringify(status))).listen(gpuSocket(home))
    closers.push(() => server.close())
    await once(server, 'listening')
    return runCli(['gpu', 'status', ...flags], { CENTAURUS_HOME: home.dir })
  }

  it('shows devices and who has what of them', async () => {
    const { code, stdout } = await show(STATUS)
    assert.equal(code, 0)
    assert.equal(
      stdout,
      `Node n1, 2 GPUs, driver 550.54.15

GPU   MODEL      MEMORY      USED      BUSY   NUMA   HEALTH    RESERVED          UUID
0     Tesla T4   15360 MiB   900 MiB   37 %   0      healthy   11264 MiB, 40 %   GPU-a
1     Tesla T4   15360 MiB   -         -      0      healthy   whole             GPU-b

GPU   NAMESPACE   POD     CONTAINER   MEMORY      TIME   PRIORITY   USES            KIND               WOULD FIT
0     d           train   c           10240 MiB   40 %   high       900 MiB, 37 %   training, 20.5 s   1280 MiB, 30 %
0     d           infer   c           1024 MiB    -      low        -               -                  -
1     d           big     c           all         all    -          -               -                  -
`,
    )
  })

  it('says first what does not work, and ends with 1', async () => {
    const [first] = STATUS.devices
    const sick = { ...first!, problem: 'The driver lost it: GPU is lost' }
    const { code, stdout } = await show({ ...STATUS, kind: 'simulated', problems: ['No kubelet'], devices: [sick] })
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^Node n1, 1 GPUs, simulated: nothing computes on them\nProblem: No kubelet\nGPU 0: The driver lost it/,
    )
  })

  it('prints JSON for programs', async () => {
    const { stdout } = await show(STATUS, '-o', 'json')
    assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(STATUS)))
  })

  it('says what to do when there is no plugin', async () => {
    const ask = () => runCli(['gpu', 'status'], { CENTAURUS_HOME: home.dir })
    assert.match((await ask()).stderr, /There is no cluster in .*\.\/centaurus up/)
    writeSettings(home, { ...DEFAULT_SETTINGS, simulatedGpus: '/gpus.yaml' })
    assert.match((await ask()).stderr, /plugin does not run.*\.\/centaurus logs gpu/)
    writeSettings(home, { ...DEFAULT_SETTINGS, nodes: { type: 'simulated', count: 2 }, simulatedGpus: '/gpus.yaml' })
    assert.match((await ask()).stderr, /kubectl get nodes -L nvidia/)
    registerDaemon(home, 'gpu')
    assert.match((await ask()).stderr, /waits for the driver/)
  })
})
