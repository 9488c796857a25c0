import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DEFAULT_QUALITY,
  effectiveQuality,
  isBetter,
  NETWORK_CLASSES,
  NETWORK_PRIORITIES,
  podQuality,
} from './network-quality.ts'
import { SYSTEM_QUALITY } from './tenant-network.ts'
import { QUALITY_ANNOTATIONS, readQuality } from './quality-annotations.ts'

const LEVELS = NETWORK_CLASSES.flatMap((networkClass) =>
  NETWORK_PRIORITIES.map((priority) => ({ networkClass, priority })),
)

function complaintOf(name: string, text: string): string {
  const { wish, problems } = readQuality({ [name]: text })
  assert.deepEqual(wish, {}, 'what is wrong says nothing')
  assert.deepEqual(problems[0]?.annotations, [name])
  assert.equal(problems[0].value, text)
  return problems[0].detail
}

describe('annotations of quality', () => {
  it('are read, whichever letters are large', () => {
    for (const text of ['best-effort', 'BestEffort', 'besteffort', 'BEST-EFFORT'])
      for (const prefix of ['centaurus.io', 'mizar.com'])
        assert.deepEqual(readQuality({ [`${prefix}/network-class`]: text }).wish, { networkClass: 'best-effort' })
    assert.deepEqual(readQuality({ 'mizar.com/network-class': 'Premium', 'centaurus.io/network-priority': 'Low' }), {
      wish: { networkClass: 'premium', priority: 'low' },
      problems: [],
    })
  })

  it('hold bits a second as quantities, and bytes a second as Mizar has them', () => {
    const bits = (text: string) => readQuality({ 'kubernetes.io/egress-bandwidth': text }).wish.egressBandwidth
    const bytes = (text: string) => readQuality({ 'mizar.com/ingress-bandwidth': text }).wish.ingressBandwidth
    assert.deepEqual(['1k', '10M', '1.5G', '1Ki', '1e6', '1P'].map(bits), [1e3, 1e7, 1.5e9, 1024, 1e6, 1e15])
    assert.deepEqual(['125', '10K', '2.5M', '125000G'].map(bytes), [1e3, 8e4, 2e7, 1e15])
    assert.deepEqual(readQuality({ 'mizar.com/egress-bandwidth': '0' }), { wish: {}, problems: [] })
  })

  it('say what is wrong with a value and what is allowed', () => {
    assert.match(complaintOf('mizar.com/network-class', 'Gold'), /must be premium, expedited or best-effort/)
    assert.match(complaintOf('centaurus.io/network-class', ''), /must be premium/)
    assert.match(complaintOf('centaurus.io/network-priority', 'highest'), /must be high, medium or low/)
    const bits = 'kubernetes.io/egress-bandwidth'
    assert.match(complaintOf(bits, 'fast'), /must be a quantity of bits a second from 1k to 1P, such as "10M"/)
    assert.match(complaintOf(bits, '10m'), /^"m" means a thousandth: must be a quantity/)
    assert.match(complaintOf(bits, '999'), /^is less than 1,000 bits a second/)
    assert.match(complaintOf(bits, '-1M'), /^is less than 1,000 bits a second/)
    assert.match(complaintOf(bits, '2P'), /^is more than 10\^15 bits a second/)
    const bytes = 'mizar.com/egress-bandwidth'
    for (const text of ['10m', '1Gi', '1e6', '-1', '', 'K']) assert.match(complaintOf(bytes, text), /bytes a second/)
    assert.match(complaintOf(bytes, '124'), /^is less than 1,000 bits a second/)
    assert.match(complaintOf(bytes, '125001G'), /^is more than 10\^15 bits a second/)
  })

  it('may say one thing twice, and not two things', () => {
    const same = { 'kubernetes.io/egress-bandwidth': '8M', 'mizar.com/egress-bandwidth': '1M' }
    assert.deepEqual(readQuality(same), { wish: { egressBandwidth: 8e6 }, problems: [] })
    const { wish, problems } = readQuality({ ...same, 'mizar.com/egress-bandwidth': '8M' })
    assert.deepEqual(wish, { egressBandwidth: 8e6 }, 'the name that counts first')
    assert.deepEqual(problems, [
      {
        annotations: ['kubernetes.io/egress-bandwidth', 'mizar.com/egress-bandwidth'],
        value: '8M',
        detail: 'says something else than kubernetes.io/egress-bandwidth ("8M"): leave one of them out',
      },
    ])
    const words = readQuality({ 'centaurus.io/network-class': 'gold', 'mizar.com/network-class': 'Premium' })
    assert.deepEqual(words.wish, { networkClass: 'premium' })
    assert.equal(words.problems.length, 1)
  })

  it('are eight', () => {
    assert.equal(QUALITY_ANNOTATIONS.length, 8)
    assert.deepEqual(readQuality(undefined), { wish: {}, problems: [] })
    assert.deepEqual(readQuality({ 'example.com/network-class': 'tea' }), { wish: {}, problems: [] })
  })
})

describe('quality of a pod', () => {
  it('is ordered by class, and within one by priority', () => {
    for (const [i, a] of LEVELS.entries()) for (const [j, b] of LEVELS.entries()) assert.equal(isBetter(a, b), i < j)
  })

  it('is what the pod says, then its namespace, then its tenant, field by field', () => {
    const tenant = { defaults: { networkClass: 'expedited', egressBandwidth: 1e6 }, max: undefined } as const
    assert.deepEqual(podQuality({}, {}, SYSTEM_QUALITY), DEFAULT_QUALITY)
    assert.deepEqual(podQuality({}, {}, tenant), {
      networkClass: 'expedited',
      priority: 'medium',
      egressBandwidth: 1e6,
    })
    assert.deepEqual(podQuality({ egressBandwidth: 5e6 }, { networkClass: 'premium', egressBandwidth: 2e6 }, tenant), {
      networkClass: 'premium',
      priority: 'medium',
      egressBandwidth: 5e6,
    })
  })

  it('is no better than what operators granted', () => {
    for (const max of LEVELS)
      for (const said of LEVELS) {
        const given = effectiveQuality([said], max)
        assert.deepEqual(given, isBetter(said, max) ? max : said)
      }
    const max = { networkClass: 'expedited', priority: 'medium', egressBandwidth: 1e9 } as const
    assert.deepEqual(effectiveQuality([{ networkClass: 'premium', priority: 'low' }], max), max)
    assert.deepEqual(effectiveQuality([{ priority: 'high', egressBandwidth: 1e6, ingressBandwidth: 1e7 }], max), {
      networkClass: 'best-effort',
      priority: 'high',
      egressBandwidth: 1e6,
      ingressBandwidth: 1e7,
    })
  })
})
