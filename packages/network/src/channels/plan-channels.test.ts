import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileWorld } from '../testing/policy-cells.ts'
import { generateWorld, listTraffic } from '../testing/policy-generator.ts'
import { askOracle } from '../testing/policy-oracle.ts'
import type { PodFacts } from '../policy/policy-world.ts'
import { planChannels, type ChannelPlan, type ChannelPod } from './plan-channels.ts'

const WORLDS = 20

function allows({ flows }: ChannelPlan, from: string, to: { readonly ip: string; readonly port: number }): boolean {
  return flows.some(
    (flow) =>
      flow.from === from &&
      flow.to === to.ip &&
      flow.ports.some(([first, last]) => first <= to.port && to.port <= last),
  )
}

describe('the plan of channels', () => {
  it('allows of any connection between pods what the specifications allow, and nothing else', () => {
    const seen = { allowed: 0, denied: 0 }
    for (let seed = 1; seed <= WORLDS; seed++) {
      const oracle = generateWorld(seed)
      const { world } = compileWorld(oracle)
      const traffic = listTraffic(oracle).filter(({ protocol }) => protocol === 'TCP')
      const facts = new Map<string, PodFacts>()
      for (const { source, destination } of traffic)
        for (const party of [source, destination]) if ('pod' in party) facts.set(party.pod.ip, party.pod)
      const pods = [...facts.values()].map((pod): ChannelPod => ({ facts: pod, place: { sandbox: `of ${pod.ip}` } }))
      const plan = planChannels(world, pods)
      for (const { source, destination, ...one } of traffic) {
        if (!('pod' in source) || !('pod' in destination) || source.pod.ip === destination.pod.ip) continue
        const { egress, ingress } = askOracle(oracle, { source, destination, ...one })
        const expected = (egress?.allowed ?? true) && (ingress?.allowed ?? true)
        const told = allows(plan, source.pod.ip, { ip: destination.pod.ip, port: one.port })
        assert.equal(told, expected, `seed ${seed}: ${source.pod.ip} to ${destination.pod.ip}:${one.port}`)
        seen[expected ? 'allowed' : 'denied']++
      }
    }
    assert.ok(seen.allowed > 1_000 && seen.denied > 1_000, JSON.stringify(seen))
  })

  it('tells of pods where they are, and nothing of pairs that are elsewhere both', () => {
    const { world } = compileWorld(generateWorld(1))
    const pod = (ip: string): PodFacts => ({ namespace: 'default', labels: {}, ip, namedPorts: [] })
    const away = { service: '192.168.0.2:7788' }
    const plan = planChannels(world, [
      { facts: pod('10.0.0.1'), place: { sandbox: 'one' } },
      { facts: pod('10.0.1.1'), place: away },
      { facts: pod('10.0.1.2'), place: away },
    ])
    assert.deepEqual(plan.local, { '10.0.0.1': 'one' })
    assert.deepEqual(plan.pods, { '10.0.1.1': away.service, '10.0.1.2': away.service })
    assert.ok(!plan.flows.some(({ from, to }) => from.startsWith('10.0.1') && to.startsWith('10.0.1')))
  })
})
