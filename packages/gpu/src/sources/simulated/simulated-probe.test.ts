import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { createManualClock, silentLogger } from '@centaurus/base'
import { describeSourceContract } from '../../testing/source-contract.ts'
import { openDeviceSource } from '../open-device-source.ts'
import { parsePools } from './parse-pools.ts'
import { PRESETS } from './presets.ts'
import { createSimulatedProbe, simulateGpus } from './simulated-probe.ts'

function openFile(text: string) {
  const dir = mkdtempSync(join(tmpdir(), 'gpus-'))
  const file = join(dir, 'gpus.yaml')
  const write = (content: string): void => {
    writeFileSync(`${file}.new`, content)
    renameSync(`${file}.new`, file)
  }
  write(text)
  return { file, write, remove: () => rmSync(dir, { recursive: true }) }
}

describeSourceContract('A simulation', () => {
  const pool = 'pools: [{name: a, preset: dgx-a100'
  const { file, write, remove } = openFile(`${pool}}]`)
  return {
    probe: () => createSimulatedProbe({ file, nodeName: 'node-1' }),
    breakGpu: (index) => write(`${pool}, unhealthy: [${index}]}]`),
    mendAll: () => write(`${pool}}]`),
    close: remove,
  }
})

describe('createSimulatedProbe', () => {
  const closers: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  it('follows its file, and keeps what it knew while the file is wrong', async () => {
    const { file, write, remove } = openFile('pools: [{name: a, preset: pcie-t4}]')
    const clock = createManualClock()
    const probe = createSimulatedProbe({ file, nodeName: 'n' })
    const source = await openDeviceSource(probe, { clock, logger: silentLogger })
    closers.push(remove, () => source.close())
    const known = source.gpus
    write('pools: [{name: a, preset: pcie-t5}]')
    await clock.advance(1_000)
    assert.equal(source.gpus, known)
    assert.match(source.problem ?? '', /Cannot simulate GPUs by .*gpus\.yaml: pools\[0\]\.preset must be one of/)
    write('pools: [{name: a, preset: pcie-t4, count: 2}]')
    await clock.advance(1_000)
    assert.equal(source.gpus.devices.length, 2)
    assert.equal(source.problem, undefined)
    assert.deepEqual(source.gpus.devices[0], known.devices[0])
  })

  it('rejects a file that is not there', async () => {
    const probe = createSimulatedProbe({ file: '/nonexistent/gpus.yaml', nodeName: 'n' })
    await assert.rejects(probe.look(), /Cannot simulate GPUs by \/nonexistent\/gpus\.yaml: ENOENT/)
  })
})

describe('simulateGpus', () => {
  const devicesOf = (text: string, node: string) => simulateGpus(parsePools(text), node).devices

  it('gives a node the pools that name it, one after another', () => {
    const text = `
      pools:
      - {name: big, nodes: [gpu-*], preset: dgx-h100, count: 2}
      - {name: small, nodes: [gpu-1, other], model: Tesla P4, memoryMiB: 8192, multiprocessors: 20, count: 1}`
    assert.deepEqual(
      devicesOf(text, 'gpu-1').map(({ index, model }) => [index, model]),
      [
        [0, 'NVIDIA H100 80GB HBM3'],
        [1, 'NVIDIA H100 80GB HBM3'],
        [2, 'Tesla P4'],
      ],
    )
    assert.equal(devicesOf(text, 'gpu-22').length, 2)
    assert.equal(devicesOf(text, 'other').length, 1)
    assert.equal(devicesOf(text, 'an-other').length, 0)
  })

  it('names the devices of each node and pool differently', () => {
    const text = 'pools: [{name: a, preset: dgx-a100}, {name: b, preset: dgx-a100}]'
    const uuids = ['n1', 'n2'].flatMap((node) => devicesOf(text, node).map(({ uuid }) => uuid))
    assert.equal(new Set(uuids).size, 32)
    assert.ok(uuids.every((uuid) => /^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)))
  })

  it('connects the GPUs of a machine as they are', () => {
    const linksOf = (preset: string) => simulateGpus(parsePools(`pools: [{name: a, preset: ${preset}}]`), 'n').links!
    assert.ok(linksOf('dgx-h100').every((row, i) => row.every((link, j) => link === (i === j ? 0 : 68))))
    const v100 = linksOf('dgx-1')
    for (const row of v100) {
      const nvlinks = row.filter((link) => link > 50).map((link) => link - 50)
      assert.equal(nvlinks.length, 4)
      assert.equal(
        nvlinks.reduce((sum, each) => sum + each),
        6,
      )
    }
    assert.deepEqual(linksOf('pcie-a100'), [
      [0, 62, 0, 0],
      [62, 0, 0, 0],
      [0, 0, 0, 62],
      [0, 0, 62, 0],
    ])
    assert.deepEqual(linksOf('pcie-l40s')[0], [0, 40, 10, 10, 0, 0, 0, 0])
    for (const name of Object.keys(PRESETS)) {
      const links = linksOf(name)
      assert.ok(
        links.every((row, i) => row.every((link, j) => link === links[j]![i])),
        name,
      )
    }
  })

  it('takes links that are written out', () => {
    const text = 'pools: [{name: a, preset: pcie-t4, count: 2, links: [[0, 53], [53, 0]]}]'
    assert.deepEqual(simulateGpus(parsePools(text), 'n').links, [
      [0, 53],
      [53, 0],
    ])
  })

  it('refuses more GPUs than a node may have', () => {
    const text = 'pools: [{name: a, preset: dgx-a100, count: 64}, {name: b, preset: dgx-a100}]'
    assert.throws(() => devicesOf(text, 'n'), /node n would have 72 GPUs; 64 are the most/)
  })
})

describe('parsePools', () => {
  for (const [text, ...rules] of [
    ['pools', 'must have `pools`, a list'],
    ['pools: [', 'must be YAML or JSON: '],
    ['pools: [3]', 'pools[0] must be an object'],
    ['pools: [{name: A}]', 'pools[0].name must be lower-case', 'pools[0].model or .preset must be there'],
    [
      'pools: [{name: a, preset: x, size: 3}]',
      'pools[0].size: there is no such field',
      'pools[0].preset must be one of',
    ],
    ['pools: [{name: a, model: M, memoryMiB: 0}]', 'pools[0].memoryMiB must be'],
    ['pools: [{name: a, model: M, count: 65}]', 'pools[0].count must be a number from 0 to 64'],
    ['pools: [{name: a, model: M, topology: ring}]', 'pools[0].topology must be one of nvswitch'],
    ['pools: [{name: a, preset: dgx-1, count: 9}]', 'pools[0].count must be at most 8 in a cube-mesh'],
    ['pools: [{name: a, model: M, count: 2, unhealthy: [2]}]', 'pools[0].unhealthy must be'],
    ['pools: [{name: a, model: M, count: 2, links: [[0, 1], [2, 0]]}]', 'pools[0].links must be 2 lists of 2'],
    ['pools: [{name: a, model: M, nodes: ["(a"]}]', 'pools[0].nodes must be'],
    ['pools: [{name: a, model: M}, {name: a, model: M}]', 'pools: two must not have the same name: "a"'],
  ] as const) {
    it(`refuses ${text}`, () => {
      assert.throws(
        () => parsePools(text),
        (error) => error instanceof SyntaxError && rules.every((rule) => error.message.includes(rule)),
      )
    })
  }
})
