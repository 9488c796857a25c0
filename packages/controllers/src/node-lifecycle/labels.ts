import type { Node } from '@centaurus/api/core/v1'

/** Old labels that follow the stable ones. Source: labelReconcileInfo, node_lifecycle_controller.go v1.37. */
const FOLLOWERS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/os': 'kubernetes.io/os',
  'beta.kubernetes.io/arch': 'kubernetes.io/arch',
}

/** Labels to set; undefined when all are right. */
export function planNodeLabels({ metadata: { labels = {} } }: Readonly<Node>): Record<string, string> | undefined {
  const entries = Object.entries(FOLLOWERS)
    .filter(([follower, leader]) => labels[leader] !== undefined && labels[follower] !== labels[leader])
    .map(([follower, leader]) => [follower, labels[leader]!] as const)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
