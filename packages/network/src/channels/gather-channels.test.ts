import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_QUALITY, type NetworkQuality } from '@centaurus/api'
import type { Node } from '@centaurus/api/core/v1'
import { endpointKey, type LocalPod } from '../daemon/local-pod.ts'
import { emptyNetwork, type AppliedEndpoint, type NetworkState } from '../daemon/network-state.ts'
import { OPEN_LIST } from '../policy/verdict-list.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { CHANNELS_LABEL, gatherChannels, SANDBOX_LABEL, whyNoChannels } from './gather-channels.ts'

const SET: PolicySet = {
  key: 'open',
  ingress: { byIdentity: new Map(), others: OPEN_LIST, cidrs: [] },
  egressOfPeers: new Map(),
  egress: { isolated: false, toPods: OPEN_LIST, outside: { others: OPEN_LIST, cidrs: [] } },
}

function endpoint(ip: string, more: Partial<AppliedEndpoint> = {}): AppliedEndpoint {
  const common = { vni: 5, hostIP: ip, mac: '0a:ce:00:00:00:00', ifindex: 7, routeDomain: 0, blockPrefix: 24 }
  return { ...common, ip, identity: 300, slot: 's1', quality: DEFAULT_QUALITY, ...more }
}

function network(endpoints: readonly AppliedEndpoint[]): NetworkState {
  const state = emptyNetwork(5)
  state.slots.set('s1', SET)
  state.identities.add(300)
  for (const each of endpoints) state.endpoints.set(each.ip, each)
  return state
}

function attached(applied: AppliedEndpoint): readonly [string, LocalPod] {
  const { slot: _, quality: __, ...local } = applied
  const reference = { namespace: 'default', name: 'web', uid: undefined, containerId: `sandbox of ${local.ip}` }
  return [endpointKey(local), { endpoint: local, reference }]
}

function gather(
  endpoints: readonly AppliedEndpoint[],
  localPods: ReadonlyMap<string, LocalPod> = new Map(endpoints.map(attached)),
): string[] {
  const networks = new Map([[5, network(endpoints)]])
  return gatherChannels({ nodeName: 'east', nodes: [], networks, localPods }).pods.map(({ ip }) => ip)
}

function node(name: string, labels: Record<string, string>, address = '192.168.0.2'): Node {
  return {
    metadata: { name, labels },
    spec: { podCIDRs: ['10.244.1.0/24', 'fd00::/64'] },
    status: { addresses: [{ type: 'InternalIP', address }] },
  }
}

const OFFERS = { [SANDBOX_LABEL]: 'quark' }

describe('what channels are planned from', () => {
  it('is what the kernel has of pods, with the sandboxes that the runtime named', () => {
    const networks = new Map([[5, network([endpoint('10.244.0.2')])]])
    const localPods = new Map([attached(endpoint('10.244.0.2'))])
    const { pods, identities } = gatherChannels({ nodeName: 'east', nodes: [], networks, localPods })
    const sandbox = 'sandbox of 10.244.0.2'
    assert.deepEqual(pods, [{ ip: '10.244.0.2', sandbox, network: 5, identity: 300, set: SET }])
    assert.deepEqual([...identities.get(5)!], [300])
  })

  it('leaves out pods whose addresses others may have, and what only the network can give or judge', () => {
    const limited: NetworkQuality = { ...DEFAULT_QUALITY, egressBandwidth: 1e6 }
    const premium: NetworkQuality = { ...DEFAULT_QUALITY, networkClass: 'premium' }
    const left = [
      endpoint('10.20.0.2', { routeDomain: 5, hostIP: '100.64.0.2' }),
      endpoint('10.244.0.3', { quality: limited }),
      endpoint('10.244.0.4', { quality: premium }),
      endpoint('10.244.0.5', { slot: undefined }),
      endpoint('10.244.0.6', { identity: 0 }),
      endpoint('10.244.0.7', { slot: 'gone' }),
    ]
    assert.deepEqual(gather([endpoint('10.244.0.2'), ...left]), ['10.244.0.2'])
    assert.deepEqual(gather([endpoint('10.244.0.2')], new Map()), [], 'nobody knows whose it is')
  })

  it('has other nodes that offer the sandbox and channels', () => {
    const nodes = [
      node('east', OFFERS),
      node('west', OFFERS),
      node('north', {}),
      node('south', { ...OFFERS, [CHANNELS_LABEL]: 'off' }),
      node('new', OFFERS, 'fd00::1'),
    ]
    const inputs = gatherChannels({ nodeName: 'east', nodes, networks: new Map(), localPods: new Map() })
    assert.deepEqual(inputs.nodes, [{ service: '192.168.0.2:7788', blocks: ['10.244.1.0/24'] }])
  })

  it('says why a node has none', () => {
    assert.equal(whyNoChannels(node('east', OFFERS)), undefined)
    assert.equal(whyNoChannels(node('east', { ...OFFERS, [CHANNELS_LABEL]: 'on' })), undefined)
    assert.match(whyNoChannels(node('east', { ...OFFERS, [CHANNELS_LABEL]: 'off' })) ?? '', /label/)
    assert.match(whyNoChannels(node('east', {})) ?? '', /does not offer/)
    assert.match(whyNoChannels(undefined) ?? '', /does not offer/)
  })
})
