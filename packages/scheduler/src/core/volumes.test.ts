import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim } from '@centaurus/api/core/v1'
import type { StorageClass } from '@centaurus/api/storage/v1'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { decide, formatFitFailure } from './decide.ts'
import { compilePod } from './pod-requirements.ts'
import { planVolumes, type VolumeLookups } from './volumes.ts'

const STORED = { resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }
const DELAYED: StorageClass = {
  metadata: { name: 'late' },
  provisioner: 'x',
  volumeBindingMode: 'WaitForFirstConsumer',
}
const STATIC: StorageClass = { ...DELAYED, metadata: { name: 'static' }, provisioner: 'kubernetes.io/no-provisioner' }

interface ClaimInput extends NonNullable<PersistentVolumeClaim['spec']> {
  readonly annotations?: Record<string, string>
  readonly phase?: string
  readonly size?: string
}

function claim(
  name: string,
  { annotations, phase = 'Pending', size = '1Gi', ...spec }: ClaimInput,
): Stored<PersistentVolumeClaim> {
  const resources = { requests: { storage: size } }
  return {
    metadata: { ...STORED, name, namespace: 'default', uid: `claim-${name}`, annotations },
    spec: { accessModes: ['ReadWriteOnce'], resources, ...spec },
    status: { phase },
  }
}

function volume(name: string, zone: string, size: string): Stored<PersistentVolume> {
  const term = { matchExpressions: [{ key: 'zone', operator: 'In', values: [zone] }] }
  return {
    metadata: { ...STORED, name, uid: name },
    spec: {
      storageClassName: 'static',
      capacity: { storage: size },
      accessModes: ['ReadWriteOnce'],
      nodeAffinity: { required: { nodeSelectorTerms: [term] } },
    },
    status: { phase: 'Available' },
  }
}

interface World {
  readonly claims: readonly Stored<PersistentVolumeClaim>[]
  readonly volumes?: readonly Stored<PersistentVolume>[]
  readonly classes?: readonly StorageClass[]
  readonly promised?: readonly string[]
  readonly inUse?: boolean
}

/** Node and volumes ('new' for one that is to be made) that the pod gets, or why not. */
function place({ claims, volumes = [], classes = [DELAYED, STATIC], promised = [], inUse = false }: World): string {
  const lookups: VolumeLookups = {
    claim: (_, name) => claims.find(({ metadata }) => metadata.name === name),
    volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
    volumesOfClass: (name) => volumes.filter(({ spec }) => spec?.storageClassName === name),
    storageClass: (name) => classes.find(({ metadata }) => metadata.name === name),
    isPromised: (name) => promised.includes(name),
    isUsedByOther: () => inUse,
  }
  const names = ['a', 'b'].slice(0, Math.max(1, claims.length))
  const item = pod('p', {
    volumes: names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  })
  const plan = planVolumes(item, lookups)
  if (plan.type !== 'ready') return plan.type === 'waiting' ? plan.message : `refused: ${plan.reason}`
  const state = new ClusterState()
  for (const zone of ['1', '2']) state.putNode(node(`n${zone}`, { labels: { zone } }))
  const requirements = compilePod(item, { index: state.resources, namespaceLabels: () => undefined })
  const decision = decide(state, requirements, { startSlot: 0, tieBreak: () => 0, volumes: plan })
  if (decision.type === 'refuse') return formatFitFailure(decision.failure)
  const labels = state.nodes.labels[state.slotOf(decision.nodeName)!]!
  const bindings = plan.choice?.bindingsOn(labels, decision.nodeName) ?? []
  return [decision.nodeName, ...bindings.map((binding) => binding.volume?.metadata.name ?? 'new')].join(' ')
}

describe('volumes of a pod', () => {
  const none = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
  const topology = (values: string[]): StorageClass => ({
    ...DELAYED,
    allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values }] }],
  })
  const late = claim('a', { storageClassName: 'late' })
  const wanted = claim('a', { storageClassName: 'static', size: '5Gi' })
  const both = [wanted, claim('b', { storageClassName: 'static' })]
  const cases: [string, World, string][] = [
    ['does not wait for a claim that waits for it', { claims: [late] }, 'n1 new'],
    ['keeps to the topologies of the class', { claims: [late], classes: [topology(['2'])] }, 'n2 new'],
    ['finds no node in those topologies', { claims: [late], classes: [topology(['3'])] }, none],
    [
      'goes where a volume is being made',
      {
        claims: [claim('a', { storageClassName: 'late', annotations: { 'volume.kubernetes.io/selected-node': 'n2' } })],
      },
      'n2 new',
    ],
    [
      'takes the smallest volume that fits, where it is',
      {
        claims: [wanted],
        volumes: [volume('big', '2', '9Gi'), volume('small', '1', '1Gi'), volume('fit', '2', '6Gi')],
      },
      'n2 fit',
    ],
    [
      'takes no volume that another pod was promised',
      { claims: [wanted], volumes: [volume('fit', '2', '6Gi')], promised: ['fit'] },
      none,
    ],
    [
      'gives two claims two volumes of one node',
      { claims: both, volumes: [volume('x', '1', '9Gi'), volume('y', '2', '9Gi'), volume('z', '2', '9Gi')] },
      'n2 y z',
    ],
    ['makes nothing without a provisioner', { claims: [wanted] }, none],
    [
      'waits for immediate claims',
      {
        claims: [claim('a', { storageClassName: 'now' })],
        classes: [{ ...DELAYED, metadata: { name: 'now' }, volumeBindingMode: 'Immediate' }],
      },
      'pod has unbound immediate PersistentVolumeClaims',
    ],
    ['waits for a claim that is missing', { claims: [] }, 'persistentvolumeclaim "a" not found'],
    [
      'does not start on a bound claim whose volume is gone',
      { claims: [claim('a', { volumeName: 'gone', phase: 'Bound' })] },
      'refused: node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)',
    ],
    [
      'follows its bound volume',
      { claims: [claim('a', { volumeName: 'v', phase: 'Bound' })], volumes: [volume('v', '2', '1Gi')] },
      'n2',
    ],
    [
      'shares no claim that is for one pod',
      { claims: [claim('a', { storageClassName: 'late', accessModes: ['ReadWriteOncePod'] })], inUse: true },
      'refused: node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod',
    ],
  ]
  for (const [title, world, expected] of cases) it(title, () => assert.equal(place(world), expected))
})
