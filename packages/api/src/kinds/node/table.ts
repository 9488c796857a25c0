import type { Node } from '../../generated/types/core/v1.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const ROLE_PREFIX = 'node-role.kubernetes.io/'
const ROLE_LABEL = 'kubernetes.io/role'

export const nodeColumns = [
  nameColumn,
  column('Status', 'Whether the node is ready and takes pods'),
  column('Roles', 'Roles that the labels of the node name'),
  ageColumn,
  column('Version', 'Version of the node agent'),
  column('Internal-IP', 'Address within the cluster', { wide: true }),
  column('External-IP', 'Address from outside of the cluster', { wide: true }),
  column('OS-Image', 'Operating system', { wide: true }),
  column('Kernel-Version', 'Version of the kernel, with the architecture', { wide: true }),
  column('Container-Runtime', 'Container runtime, with its version', { wide: true }),
]

/** Source: printNode, pkg/printers/internalversion/printers.go v1.37. */
export function nodeRow(node: Readonly<Node>, nowMs: number): unknown[] {
  const info = node.status?.nodeInfo
  const architecture = info?.architecture ? ` (${info.architecture})` : ''
  return [
    node.metadata.name,
    nodeStatus(node),
    nodeRoles(node) || '<none>',
    formatAge(node.metadata.creationTimestamp, nowMs),
    info?.kubeletVersion ?? '',
    addressOf(node, 'InternalIP'),
    addressOf(node, 'ExternalIP'),
    info?.osImage || '<unknown>',
    `${info?.kernelVersion || '<unknown>'}${architecture}`,
    info?.containerRuntimeVersion || '<unknown>',
  ]
}

function nodeStatus({ spec, status }: Readonly<Node>): string {
  const ready = status?.conditions?.findLast((condition) => condition.type === 'Ready')
  const text = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return spec?.unschedulable === true ? `${text},SchedulingDisabled` : text
}

function nodeRoles({ metadata }: Readonly<Node>): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    const role = key.startsWith(ROLE_PREFIX) ? key.slice(ROLE_PREFIX.length) : key === ROLE_LABEL ? value : ''
    if (role !== '') roles.add(role)
  }
  return [...roles].toSorted().join(',')
}

function addressOf({ status }: Readonly<Node>, type: string): string {
  return status?.addresses?.find((address) => address.type === type)?.address ?? '<none>'
}
