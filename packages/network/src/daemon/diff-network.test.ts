import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, type Random } from '@centaurus/base'
import type { PolicySet, Segment, VerdictList } from '../policy/policy-set.ts'
import { diffNetwork } from './diff-network.ts'
import { advance, emptyNetwork, type NetworkPlan, type NetworkState, type PlannedEndpoint } from './network-state.ts'

const VNI = 7

function verdict(allow: boolean, rule = 0): VerdictList {
  const all = { firstPort: 0, lastPort: 65_535, allow, precedence: 100, rule }
  return (['TCP', 'UDP', 'SCTP', 'other'] as const).map((protocol): Segment => ({ protocol, ...all }))
}

const OPEN = verdict(true)
const CLOSED = verdict(false)

interface SetOptions {
  readonly isolated?: boolean
  /** Identities that egress policies let send nothing here. */
  readonly mute?: readonly number[]
}

/** A set that lets these identities in; undefined: anybody. */
function setFor(from: readonly number[] | undefined, { isolated = false, mute = [] }: SetOptions = {}): PolicySet {
  const peers = from?.map((id) => [id, OPEN] as const) ?? []
  return {
    key: JSON.stringify([from, isolated, mute]),
    ingress: { byIdentity: new Map(peers), others: from === undefined ? OPEN : CLOSED, cidrs: [] },
    egressOfPeers: new Map(mute.map((id) => [id, CLOSED])),
    egress: { isolated, toPods: isolated ? CLOSED : OPEN, outside: { others: OPEN, cidrs: [] } },
  }
}

function endpoint(last: number, set: PolicySet | undefined, identity = 300): PlannedEndpoint {
  const ip = `10.244.0.${last}`
  const mac = `0a:ce:0a:f4:00:${last.toString(16).padStart(2, '0')}`
  const place = { vni: VNI, ip, hostIP: ip, mac, ifindex: 100 + last, routeDomain: 0, blockPrefix: 24 }
  return { ...place, identity, set, quality: undefined }
}

function plan(endpoints: readonly PlannedEndpoint[], identities: readonly number[]): NetworkPlan {
  return { vni: VNI, endpoints: new Map(endpoints.map((each) => [each.ip, each])), identities: new Set(identities) }
}

function apply(state: NetworkState, wanted: NetworkPlan): string[] {
  return diffNetwork(state, wanted).map((step) => {
    advance(state, step)
    switch (step.type) {
      case 'addSet':
      case 'removeSet':
        return `${step.type} ${step.slot}`
      case 'extendSet':
        return `extendSet ${step.slot} +${[...step.peers.ingress.keys(), ...step.peers.egressOfPeers.keys()].join(',')}`
      case 'setEndpoint':
        return `setEndpoint ${step.endpoint.ip} ${step.endpoint.slot ?? 'closed'}`
      case 'removeEndpoint':
        return `removeEndpoint ${step.ip}`
      default:
        return `${step.type} ${step.ids.join(',')}`
    }
  })
}

describe('the calls between two plans of a network', () => {
  it('fill a set before an endpoint names it, share it, and believe identities last', () => {
    const state = emptyNetwork(VNI)
    const wanted = plan([endpoint(2, setFor([300])), endpoint(3, setFor([300]))], [300])
    assert.deepEqual(apply(state, wanted), [
      'addSet 7/1',
      'setEndpoint 10.244.0.2 7/1',
      'setEndpoint 10.244.0.3 7/1',
      'addIdentities 300',
    ])
    assert.deepEqual(apply(state, wanted), [])
  })

  it('fill a new set, then switch, then free the old one when what a policy says changes', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300, 301]))], [300, 301]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300]))], [300, 301])), [
      'addSet 7/2',
      'setEndpoint 10.244.0.2 7/2',
      'removeSet 7/1',
    ])
  })

  it('isolate before they open', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([])), endpoint(3, setFor(undefined))], []))
    const closed = setFor([], { isolated: true })
    assert.deepEqual(apply(state, plan([endpoint(2, setFor(undefined)), endpoint(3, closed)], [])), [
      'addSet 7/3',
      'setEndpoint 10.244.0.3 7/3',
      'setEndpoint 10.244.0.2 7/2',
      'removeSet 7/1',
    ])
  })

  it('teach a set in use of a new identity, without switching', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300]))], [300]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300, 301]))], [300, 301])), [
      'extendSet 7/1 +301',
      'addIdentities 301',
    ])
  })

  it('switch when a policy begins to speak of an identity that was believed before', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300]))], [300, 301]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300, 301]))], [300, 301])), [
      'addSet 7/2',
      'setEndpoint 10.244.0.2 7/2',
      'removeSet 7/1',
    ])
  })

  it('say something else of a peer’s egress in place, without switching', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300])), endpoint(3, setFor(undefined))], [300, 301]))
    const mute = { mute: [300, 301] }
    assert.deepEqual(
      apply(state, plan([endpoint(2, setFor([300], mute)), endpoint(3, setFor(undefined, mute))], [300, 301])),
      ['extendSet 7/1 +300,301', 'extendSet 7/2 +300,301'],
    )
    const wanted = plan([endpoint(2, setFor([300], { mute: [301] })), endpoint(3, setFor(undefined, mute))], [300, 301])
    assert.deepEqual(apply(state, wanted), ['extendSet 7/1 +300'])
    assert.deepEqual(apply(state, wanted), [])
    assert.equal(maySend(state.slots.get('7/1')!, 300), true)
  })

  it('switch when two pods that shared a set part over a peer’s egress', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300])), endpoint(3, setFor([300]))], [300]))
    const wanted = plan([endpoint(2, setFor([300])), endpoint(3, setFor([300], { mute: [300] }))], [300])
    assert.deepEqual(apply(state, wanted), ['addSet 7/2', 'setEndpoint 10.244.0.3 7/2'])
  })

  it('open the egress of an identity that comes back when nothing restricts it now', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300], { mute: [301] }))], [300, 301]))
    apply(state, plan([endpoint(2, setFor([300]))], [300]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300]))], [300, 301])), [
      'extendSet 7/1 +301',
      'addIdentities 301',
    ])
  })

  it('write nothing to sets when an identity goes away, and switch when there is something else as well', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300, 301]))], [300, 301]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300]))], [300])), [
      'removeIdentities 301',
      'extendSet 7/1 +',
    ])
    assert.deepEqual([...state.slots.get('7/1')!.ingress.byIdentity.keys()], [300, 301])
    // It comes back, and nothing is said of it now: the set in use would still let it in.
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300]))], [300, 301])), [
      'addSet 7/2',
      'setEndpoint 10.244.0.2 7/2',
      'removeSet 7/1',
      'addIdentities 301',
    ])
  })

  it('leave a pod as it is whose object can not be seen, and take it away when it left the host', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300]))], [300]))
    assert.deepEqual(apply(state, plan([endpoint(2, undefined)], [300])), [])
    assert.deepEqual(apply(state, plan([], [300])), ['removeEndpoint 10.244.0.2', 'removeSet 7/1'])
  })

  it('give a pod another identity with one write', () => {
    const state = emptyNetwork(VNI)
    apply(state, plan([endpoint(2, setFor([300]), 300)], [300, 301]))
    assert.deepEqual(apply(state, plan([endpoint(2, setFor([300]), 301)], [300, 301])), ['setEndpoint 10.244.0.2 7/1'])
  })

  it('end where a fresh start ends, whatever came before, and never leave an endpoint with a wrong set', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = createSeededRandom(seed)
      const state = emptyNetwork(VNI)
      let wanted = plan([], [])
      for (let round = 0; round < 8; round++) {
        const before = wanted
        wanted = randomPlan(random)
        for (const step of diffNetwork(state, wanted)) {
          advance(state, step)
          checkBetween(state, [before, wanted], `seed ${seed} round ${round}`)
        }
        checkArrived(state, wanted, `seed ${seed} round ${round}`)
      }
    }
  })
})

function randomPlan(random: Random): NetworkPlan {
  const some = (numbers: readonly number[]): number[] => numbers.filter(() => random.next() < 0.5)
  const identities = some([300, 301, 302, 303])
  const policies = [undefined, [], some(identities), some(identities)]
  const pods = some([2, 3, 4, 5])
  const mutes = [[], some(identities)]
  const endpoints = pods.map((pod) =>
    endpoint(pod, setFor(policies[random.integer(policies.length)], { mute: mutes[random.integer(2)]! })),
  )
  return plan(endpoints, identities)
}

/** Every endpoint has a filled set that says of each believed identity what the plan before or the plan now says. */
function checkBetween(state: NetworkState, plans: readonly NetworkPlan[], where: string): void {
  for (const { ip, slot } of state.endpoints.values()) {
    const content = slot === undefined ? undefined : state.slots.get(slot)
    assert.ok(content !== undefined, `${where}: ${ip} names slot ${slot}, which is empty`)
    for (const id of state.identities) {
      const said = listOf(content, id)
      const allowed = plans.flatMap(({ endpoints }) => {
        const set = endpoints.get(ip)?.set
        return set === undefined ? [] : [listOf(set, id)]
      })
      assert.ok(allowed.includes(said), `${where}: ${ip} says of ${id} what no plan says`)
      const sending = plans.flatMap(({ endpoints }) => {
        const set = endpoints.get(ip)?.set
        return set === undefined ? [] : [maySend(set, id)]
      })
      assert.ok(sending.includes(maySend(content, id)), `${where}: ${ip} says of the egress of ${id} what no plan says`)
    }
  }
}

function checkArrived(state: NetworkState, wanted: NetworkPlan, where: string): void {
  assert.deepEqual(new Set(state.endpoints.keys()), new Set(wanted.endpoints.keys()), where)
  assert.deepEqual(state.identities, wanted.identities, where)
  const used = new Set([...state.endpoints.values()].map(({ slot }) => slot))
  assert.deepEqual(new Set(state.slots.keys()), used, `${where}: sets that nobody names`)
  for (const [ip, { set }] of wanted.endpoints) {
    const content = state.slots.get(state.endpoints.get(ip)!.slot!)!
    assert.equal(content.ingress.others, set!.ingress.others, where)
    for (const id of wanted.identities)
      for (const ask of [listOf, maySend]) assert.equal(ask(content, id), ask(set!, id), `${where}: ${ip} from ${id}`)
  }
}

function listOf({ ingress }: PolicySet, id: number): VerdictList {
  return ingress.byIdentity.get(id) ?? ingress.others
}

function maySend({ egressOfPeers }: PolicySet, id: number): boolean {
  return (egressOfPeers.get(id) ?? OPEN).every(({ allow }) => allow)
}
