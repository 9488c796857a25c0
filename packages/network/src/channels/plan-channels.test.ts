import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OPEN_LIST, PRECEDENCE } from '../policy/verdict-list.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { compileWorld } from '../testing/policy-cells.ts'
import { generateWorld, listTraffic } from '../testing/policy-generator.ts'
import { podKey } from '../testing/policy-identities.ts'
import { askOracle } from '../testing/policy-oracle.ts'
import { planChannels, type ChannelPlan, type ChannelPlanPod, type ChannelPod } from './plan-channels.ts'

const WORLDS = 20
const NETWORK = 7

/** As the service reads it: `lets_in` of quark/crates/quark/src/channel/plan.rs. */
function allows(plan: ChannelPlan, from: ChannelPlanPod, to: { readonly ip: string; readonly port: number }): boolean {
  const pod = plan.pods[to.ip]
  if (pod === undefined || pod.network !== from.network) return false
  const set = plan.sets[pod.set]!
  const peers = set.peers.find(({ identities }) => identities.includes(from.identity))
  const isKnown = plan.identities[from.network]!.includes(from.identity)
  if (peers === undefined && from.isolated && !isKnown) return false
  return (peers?.ports ?? set.others).some(([first, last]) => first <= to.port && to.port <= last)
}

const OPEN_SET: PolicySet = {
  key: 'open',
  ingress: { byIdentity: new Map(), others: OPEN_LIST, cidrs: [] },
  egressOfPeers: new Map(),
  egress: { isolated: false, toPods: OPEN_LIST, outside: { others: OPEN_LIST, cidrs: [] } },
}

describe('the plan of channels', () => {
  it('allows of any connection between pods what the specifications allow, and nothing else', () => {
    const seen = { allowed: 0, denied: 0, left: 0 }
    for (let seed = 1; seed <= WORLDS; seed++) {
      const oracle = generateWorld(seed)
      const { sets, identities } = compileWorld(oracle)
      const pods = oracle.pods.map((pod): ChannelPod => {
        const key = podKey(pod)
        return { ip: pod.ip, sandbox: key, network: NETWORK, identity: identities.get(key)!, set: sets.get(key)! }
      })
      const known = new Map([[NETWORK, new Set(identities.values())]])
      const plan = planChannels({ pods, identities: known, nodes: [] })
      for (const { source, destination, ...one } of listTraffic(oracle)) {
        if (one.protocol !== 'TCP' || !('pod' in source) || !('pod' in destination)) continue
        if (source.pod.ip === destination.pod.ip) continue
        const { allowed } = askOracle(oracle, { source, destination, ...one })
        const told = allows(plan, plan.pods[source.pod.ip]!, { ip: destination.pod.ip, port: one.port })
        const hasBlocks = sets.get(podKey(destination.pod))!.ingress.cidrs.length > 0
        const what = `seed ${seed}: ${source.pod.ip} to ${destination.pod.ip}:${one.port}`
        assert.ok(!told || allowed, what)
        // what depends on the sender's address is left to the network
        assert.ok(told === allowed || hasBlocks, what)
        seen[told ? 'allowed' : allowed ? 'left' : 'denied']++
      }
    }
    assert.ok(seen.allowed > 1_000 && seen.denied > 1_000 && seen.left < seen.allowed / 2, JSON.stringify(seen))
  })

  it('leaves out ports that a denial by address goes before, whoever sends', () => {
    const block = {
      cidr: '10.0.0.0/8',
      list: [
        { protocol: 'TCP', firstPort: 0, lastPort: 79, allow: true, precedence: PRECEDENCE.allow, rule: 1 },
        { protocol: 'TCP', firstPort: 80, lastPort: 90, allow: false, precedence: PRECEDENCE.admin, rule: 2 },
        { protocol: 'TCP', firstPort: 91, lastPort: 65_535, allow: false, precedence: PRECEDENCE.open, rule: 3 },
      ],
    } as const
    const set = { ...OPEN_SET, ingress: { ...OPEN_SET.ingress, cidrs: [block] } }
    const plan = planChannels({
      pods: [{ ip: '10.0.0.1', sandbox: 'one', network: NETWORK, identity: 300, set }],
      identities: new Map(),
      nodes: [],
    })
    assert.deepEqual(plan.sets, [
      {
        others: [
          [0, 79],
          [91, 65_535],
        ],
        peers: [],
      },
    ])
  })

  it('has a set once that pods share, and identities of networks that have pods here', () => {
    const pod = (ip: string): ChannelPod => ({ ip, sandbox: ip, network: NETWORK, identity: 300, set: OPEN_SET })
    const nodes = [{ service: '192.168.0.2:7788', blocks: ['10.0.1.0/24'] }]
    const identities = new Map([
      [NETWORK, new Set([301, 300])],
      [8, new Set([400])],
    ])
    assert.deepEqual(planChannels({ pods: [pod('10.0.0.1'), pod('10.0.0.2')], identities, nodes }), {
      pods: Object.fromEntries(
        ['10.0.0.1', '10.0.0.2'].map((ip) => [
          ip,
          { sandbox: ip, network: NETWORK, identity: 300, isolated: false, set: 0 },
        ]),
      ),
      sets: [{ others: [[0, 65_535]], peers: [] }],
      identities: { [NETWORK]: [300, 301] },
      nodes,
    })
  })
})
