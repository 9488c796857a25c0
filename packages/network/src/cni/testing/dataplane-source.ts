import type { Dataplane } from '../../dataplane/dataplane.ts'
import { DEFAULT_SHAPER } from '../../qos/levels.ts'
import { OPEN } from '../../testing/policy-sets.ts'
import type {
  AttachedPod,
  EndpointReference,
  PodNetwork,
  PodNetworkSource,
  PodReference,
} from '../pod-network-source.ts'

/** The real data plane, which lets everybody send anything. Pods whose names begin with `own-` are in a VPC that has a CIDR of its own. */
export function createDataplaneSource(dataplane: Dataplane): PodNetworkSource {
  const identity = 300
  const shaper = DEFAULT_SHAPER
  return {
    async preparePod({ name }: PodReference): Promise<PodNetwork> {
      return name.startsWith('own-')
        ? { vpc: 'lab', vni: 9, routeDomain: 9, blockPrefix: 26, identity }
        : { vpc: 'default', vni: 7, routeDomain: 0, blockPrefix: 24, identity }
    },
    async activate({ vni, ip, hostIP, mac, ifindex, routeDomain, blockPrefix }: AttachedPod): Promise<void> {
      const policySet = dataplane.addPolicySet(OPEN)
      dataplane.addIdentities(vni, [identity])
      dataplane.setEndpoint({ vni, ip, hostIP, mac, ifindex, identity, policySet, routeDomain, blockPrefix, shaper })
      dataplane.attachPod(ifindex)
    },
    async forget(endpoint: EndpointReference): Promise<void> {
      dataplane.removeEndpoint(endpoint)
    },
    listEndpoints: () => dataplane.listEndpoints(),
    whyNotReady: () => undefined,
  }
}
