import type { Node } from '../../generated/types/core/v1.ts'
import type { KindBehavior } from '../behavior.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { nodeColumns, nodeRow } from './table.ts'
import { validateNode, validateNodeStatusUpdate, validateNodeUpdate } from './validate.ts'

/** Nodes. Source: pkg/registry/core/node/strategy.go and SetDefaults_NodeStatus, pkg/apis/core/v1 v1.37. */
export const nodeBehavior: KindBehavior<Node> = {
  hasGeneration: false,
  keepsStatusOnCreate: true,
  // Source: dropDisabledFields; nodes allow all other fields, including status, to be set on create
  prepareForCreate: ({ spec, status }) => {
    delete spec?.configSource
    delete status?.config
  },
  setDefaults: ({ spec, status }) => {
    // Source: Convert_v1_NodeSpec_To_core_NodeSpec: the older field decides where the two disagree.
    const first = spec?.podCIDR ?? ''
    if (first !== '' && spec?.podCIDRs?.[0] !== first) spec!.podCIDRs = [first]
    else if (first === '' && spec?.podCIDRs?.[0] !== undefined) spec.podCIDR = spec.podCIDRs[0]
    if (status === undefined) return
    roundUpResources(status.capacity)
    roundUpResources(status.allocatable)
    if (status.capacity !== undefined) status.allocatable ??= { ...status.capacity }
  },
  validate: validateNode,
  validateUpdate: validateNodeUpdate,
  validateStatusUpdate: validateNodeStatusUpdate,
  selectableFields: ({ spec }) => ({ 'spec.unschedulable': String(spec?.unschedulable ?? false) }),
  selectableFieldNames: ['spec.unschedulable'],
  columns: nodeColumns,
  row: nodeRow,
}
