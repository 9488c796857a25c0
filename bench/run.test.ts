import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { benchResult } from './harness/bench.ts'
import { median, percentile } from './harness/measure.ts'
import { formatTable } from './harness/report.ts'

describe('npm run bench', () => {
  it('lists the benches', () => {
    const { stdout, status } = run('--list')
    assert.match(stdout, /^store +\S/m)
    assert.equal(status, 0)
  })

  it('names the benches there are when it is given another', () => {
    const { stderr, status } = run('nonsense')
    assert.match(stderr, /Cannot find bench "nonsense"; there are: .*store/)
    assert.equal(status, 2)
  })

  it('says what is wrong with an option', () => {
    assert.match(run('store', '--rounds', 'many').stderr, /--rounds must be a number from 1 on, not "many"/)
    assert.match(run('--fast').stderr, /--fast/)
    assert.match(run('sandbox', '--only', 'start,end').stderr, /Cannot find part "end"; there are: start/)
    assert.match(run('qos', '--only', 'rates').stderr, /has no parts/)
    assert.match(run('gpu-placement').stderr, /replays recorded load: name its folder with --trace PATH/)
  })
})

describe('benchResult', () => {
  it('judges a figure against its peer or its limit', () => {
    const peer = { name: 'etcd', value: 100 }
    const good = benchResult({ metric: 'a', value: 250, unit: 'x', peer, target: { ratioAtLeast: 2 } })
    const wanted = { peer: 'etcd', peerValue: 100, ratio: 2.5, target: '≥ 2 × etcd', meets: true }
    assert.deepEqual(good, { metric: 'a', value: 250, unit: 'x', ...wanted })
    assert.equal(benchResult({ metric: 'a', value: 7, unit: 'x', target: { atMost: 6 } }).meets, false)
    assert.deepEqual(benchResult({ metric: 'a', value: 7, unit: 'x' }), { metric: 'a', value: 7, unit: 'x' })
    assert.match(formatTable([good]), /a +250 x +etcd: 100 +2.5 × +≥ 2 × etcd +meets/)
  })
})

describe('median and percentile', () => {
  it('pick the middle and the part', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 2, 3]), 2.5)
    assert.equal(percentile([5, 1, 4, 2, 3], 0.99), 5)
    assert.equal(percentile([5, 1, 4, 2, 3], 0.2), 1)
  })
})

function run(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(process.execPath, [fileURLToPath(new URL('run.ts', import.meta.url)), ...args], { encoding: 'utf8' })
}
