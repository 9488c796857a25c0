import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planClasses, planQdiscs, planRemoval, planStaleClasses, type SeenQdisc } from './plan-qdiscs.ts'

const clsact: SeenQdisc = { kind: 'clsact', handle: 'ffff:', parent: 'ffff:fff1' }
const root = (kind: string, handle: string): SeenQdisc => ({ kind, handle, root: true })
const leaf = (kind: string, parent: string): SeenQdisc => ({ kind, handle: '0:', parent })

describe('the queues of a device', () => {
  it('are fq, once', () => {
    const plan = planQdiscs([root('noqueue', '0:'), clsact], { device: 'eth0', hasFq: true, isAsked: false })
    assert.equal(plan.mode, 'edt')
    assert.deepEqual(plan.commands, ['qdisc replace dev eth0 root handle ce01: fq limit 100000 flow_limit 20000'])
    const again = planQdiscs([root('fq', 'ce01:'), clsact], { device: 'eth0', hasFq: true, isAsked: false })
    assert.deepEqual(again, { mode: 'edt', commands: [] })
  })

  it('are fq on each leaf of hardware with several', () => {
    const first = planQdiscs([root('mq', '0:'), leaf('fq_codel', ':1'), leaf('fq_codel', ':2')], {
      device: 'eth0',
      hasFq: true,
      isAsked: false,
    })
    assert.deepEqual(first.commands, ['qdisc replace dev eth0 root handle ce01: mq'])
    const second = planQdiscs([root('mq', 'ce01:'), leaf('pfifo_fast', 'ce01:b'), leaf('fq', 'ce01:1'), clsact], {
      device: 'eth0',
      hasFq: true,
      isAsked: false,
    })
    assert.deepEqual(second.commands, ['qdisc replace dev eth0 parent ce01:b fq limit 100000 flow_limit 20000'])
  })

  it('are HTB, and say so, where the kernel has no fq', () => {
    const plan = planQdiscs([root('noqueue', '0:')], { device: 'eth0', hasFq: false, isAsked: true })
    assert.equal(plan.mode, 'htb')
    assert.equal(plan.problem?.reason, 'NoFq')
    assert.deepEqual(plan.commands, ['qdisc replace dev eth0 root handle ce00: htb default a'])
    assert.deepEqual(planQdiscs([root('htb', 'ce00:')], { device: 'eth0', hasFq: false, isAsked: true }).commands, [])
  })

  it('are nothing of ours where the kernel has no fq and no pod asks for a class or bandwidth', () => {
    const plan = planQdiscs([root('noqueue', '0:')], { device: 'eth0', hasFq: false, isAsked: false })
    assert.deepEqual([plan.mode, plan.commands, plan.problem?.reason], ['none', [], 'NoFq'])
    assert.equal(planQdiscs([root('htb', 'ce00:')], { device: 'eth0', hasFq: false, isAsked: false }).mode, 'htb')
  })

  it('become fq when the kernel has it again', () => {
    const plan = planQdiscs([root('htb', 'ce00:')], { device: 'eth0', hasFq: true, isAsked: false })
    assert.deepEqual(plan.commands, ['qdisc replace dev eth0 root handle ce01: fq limit 100000 flow_limit 20000'])
  })

  it('of others stay, and are used when they keep departure times', () => {
    const foreign = planQdiscs([root('cake', '8001:')], { device: 'eth0', hasFq: true, isAsked: false })
    assert.deepEqual([foreign.mode, foreign.commands, foreign.problem?.reason], ['none', [], 'ForeignQdisc'])
    const fq = planQdiscs([root('mq', '1:'), leaf('fq', '1:1'), leaf('fq', '1:2')], {
      device: 'eth0',
      hasFq: true,
      isAsked: false,
    })
    assert.deepEqual(fq, { mode: 'edt', commands: [] })
    const half = planQdiscs([root('mq', '1:'), leaf('fq', '1:1'), leaf('pfifo', '1:2')], {
      device: 'eth0',
      hasFq: true,
      isAsked: false,
    })
    assert.equal(half.mode, 'none')
  })

  it('that are ours are taken away, and no others', () => {
    assert.deepEqual(planRemoval([root('fq', 'ce01:')], 'eth0'), ['qdisc del dev eth0 root'])
    assert.deepEqual(planRemoval([root('htb', 'ce00:')], 'eth0'), ['qdisc del dev eth0 root'])
    assert.deepEqual(planRemoval([root('fq', '8001:')], 'eth0'), [])
    assert.deepEqual(planRemoval([], 'eth0'), [])
  })
})

describe('the classes of HTB', () => {
  const pod = { id: 16, level: 7, egressBandwidth: 100e6 }

  it('have a leaf for each level and each limited pod', () => {
    const commands = planClasses('eth0', { bandwidth: 1e9, pods: [pod] })
    const leaves = commands.filter((command) => command.includes(' prio '))
    assert.equal(leaves.length, 11)
    assert.match(leaves[10] ?? '', /parent ce00:f7 classid ce00:110 htb rate 100000000bit ceil 100000000bit prio 6/)
    assert.match(commands[0] ?? '', /parent ce00: classid ce00:ffff htb rate 980000000bit/)
  })

  it('of pods that are gone, or of another level now, go', () => {
    const seen = [
      { id: 'ce00:ffff', parent: undefined },
      { id: 'ce00:f7', parent: 'ce00:ffff' },
      { id: 'ce00:a', parent: 'ce00:f9' },
      { id: 'ce00:110', parent: 'ce00:f7' },
      { id: 'ce00:111', parent: 'ce00:f7' },
      { id: '8001:112', parent: '8001:f7' },
    ]
    assert.deepEqual(planStaleClasses('eth0', seen, [pod]), ['class del dev eth0 classid ce00:111'])
    assert.deepEqual(planStaleClasses('eth0', seen.slice(3, 4), [{ ...pod, level: 0 }]), [
      'class del dev eth0 classid ce00:110',
    ])
  })
})
