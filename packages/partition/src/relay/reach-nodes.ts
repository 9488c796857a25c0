import { serviceUnavailable } from '@centaurus/api'
import type { CertificateAndKey, ReachPartition } from '@centaurus/apiserver'
import type { Membership } from '../membership/membership.ts'

export interface ReachNodesDeps {
  readonly membership: Pick<Membership, 'self' | 'get'>
  /** PEM; the cluster's authority. */
  readonly ca: string
  /** PEM; of this partition. */
  readonly certificate: CertificateAndKey
}

/**
 * The way to nodes of other partitions, for logs, exec, attach and port-forward: through an API server of theirs, which knows its nodes. Takes the
 * addresses in turn, so that who tries again reaches another one.
 */
export function createReachNodes({ membership, ca, certificate }: ReachNodesDeps): ReachPartition {
  let turn = 0
  return (name) => {
    if (name === membership.self) return undefined
    const endpoints = membership.get(name)?.spec.endpoints ?? []
    const endpoint = endpoints[turn++ % Math.max(1, endpoints.length)]
    if (endpoint === undefined) throw serviceUnavailable('the node of the pod can not be reached; please try again')
    return { url: new URL(endpoint), tls: { ca, cert: certificate.certificatePem, key: certificate.keyPem } }
  }
}
