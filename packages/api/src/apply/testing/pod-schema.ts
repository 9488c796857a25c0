import type { FieldSchema, ScalarType, StructSchema, ValueSchema } from '../../schema/schema.ts'

/** Schemas by hand, small but shaped as the real ones, so that tests of the semantics do not depend on generated tables. */

const scalar = (type: ScalarType): FieldSchema => ({ value: { type } })
const map = (values: ValueSchema): FieldSchema => ({ value: { type: 'map', values } })

function struct(name: string, fields: Record<string, FieldSchema>): StructSchema {
  return { name, fields: new Map(Object.entries(fields)) }
}

function structField(schema: () => StructSchema, mapType?: 'atomic'): FieldSchema {
  return { value: { type: 'struct', struct: schema, ...(mapType === undefined ? {} : { mapType }) } }
}

/** A list whose items are told apart by `keys`; the first is the merge key of strategic merge patch. */
function mapList(schema: () => StructSchema, keys: readonly string[], more: Partial<FieldSchema> = {}): FieldSchema {
  return {
    value: { type: 'list', items: { type: 'struct', struct: schema }, listType: 'map', listMapKeys: keys },
    patchStrategy: ['merge'],
    patchMergeKey: keys[0]!,
    ...more,
  }
}

const atomicList = (items: ValueSchema): FieldSchema => ({ value: { type: 'list', items, listType: 'atomic' } })

const ownerReference = struct('io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference', {
  apiVersion: scalar('string'),
  kind: scalar('string'),
  name: scalar('string'),
  uid: scalar('string'),
  controller: scalar('boolean'),
  blockOwnerDeletion: scalar('boolean'),
})

const managedFieldsEntry = struct('io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry', {
  manager: scalar('string'),
  operation: scalar('string'),
  apiVersion: scalar('string'),
  time: scalar('time'),
  fieldsType: scalar('string'),
  fieldsV1: { value: { type: 'any' } },
  subresource: scalar('string'),
})

export const objectMetaSchema = struct('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', {
  name: scalar('string'),
  generateName: scalar('string'),
  namespace: scalar('string'),
  uid: scalar('string'),
  resourceVersion: scalar('string'),
  generation: scalar('int64'),
  creationTimestamp: scalar('time'),
  deletionTimestamp: scalar('time'),
  deletionGracePeriodSeconds: scalar('int64'),
  labels: map({ type: 'string' }),
  annotations: map({ type: 'string' }),
  finalizers: {
    value: { type: 'list', items: { type: 'string' }, listType: 'set' },
    patchStrategy: ['merge'],
  },
  ownerReferences: mapList(() => ownerReference, ['uid']),
  managedFields: atomicList({ type: 'struct', struct: () => managedFieldsEntry }),
})

const containerPort = struct('io.k8s.api.core.v1.ContainerPort', {
  name: scalar('string'),
  containerPort: { value: { type: 'int32' }, required: true },
  hostPort: scalar('int32'),
  protocol: { value: { type: 'string' }, default: 'TCP' },
})

const envVar = struct('io.k8s.api.core.v1.EnvVar', {
  name: { value: { type: 'string' }, required: true },
  value: scalar('string'),
})

const resources = struct('io.k8s.api.core.v1.ResourceRequirements', {
  limits: map({ type: 'quantity' }),
  requests: map({ type: 'quantity' }),
})

const httpGet = struct('io.k8s.api.core.v1.HTTPGetAction', { path: scalar('string'), port: scalar('intOrString') })
const probe = struct('io.k8s.api.core.v1.Probe', {
  httpGet: structField(() => httpGet),
  periodSeconds: scalar('int32'),
})
const volumeMount = struct('io.k8s.api.core.v1.VolumeMount', {
  name: scalar('string'),
  mountPath: scalar('string'),
  readOnly: scalar('boolean'),
})

const container = struct('io.k8s.api.core.v1.Container', {
  name: { value: { type: 'string' }, required: true },
  image: scalar('string'),
  command: atomicList({ type: 'string' }),
  args: atomicList({ type: 'string' }),
  imagePullPolicy: scalar('string'),
  terminationMessagePath: scalar('string'),
  terminationMessagePolicy: scalar('string'),
  env: mapList(() => envVar, ['name']),
  ports: {
    value: {
      type: 'list',
      items: { type: 'struct', struct: () => containerPort },
      listType: 'map',
      listMapKeys: ['containerPort', 'protocol'],
      listMapKeyDefaults: { protocol: 'TCP' },
    },
    patchStrategy: ['merge'],
    patchMergeKey: 'containerPort',
  },
  resources: structField(() => resources),
  livenessProbe: structField(() => probe),
  volumeMounts: mapList(() => volumeMount, ['mountPath']),
})

const toleration = struct('io.k8s.api.core.v1.Toleration', {
  key: scalar('string'),
  operator: scalar('string'),
  value: scalar('string'),
  effect: scalar('string'),
})

const emptyDir = struct('io.k8s.api.core.v1.EmptyDirVolumeSource', {
  medium: scalar('string'),
  sizeLimit: scalar('quantity'),
})
const volume = struct('io.k8s.api.core.v1.Volume', {
  name: { value: { type: 'string' }, required: true },
  emptyDir: structField(() => emptyDir),
  hostPath: structField(() => struct('io.k8s.api.core.v1.HostPathVolumeSource', { path: scalar('string') })),
})

const nodeSelector = struct('io.k8s.api.core.v1.NodeSelector', { nodeSelectorTerms: atomicList({ type: 'any' }) })
const podReference = struct('io.k8s.api.core.v1.LocalObjectReference', { name: scalar('string') })

export const podSpecSchema = struct('io.k8s.api.core.v1.PodSpec', {
  containers: mapList(() => container, ['name'], { required: true, zero: null }),
  initContainers: mapList(() => container, ['name']),
  volumes: mapList(() => volume, ['name'], { patchStrategy: ['merge', 'retainKeys'] }),
  nodeSelector: { value: { type: 'map', values: { type: 'string' }, mapType: 'atomic' } },
  nodeAffinity: structField(() => nodeSelector, 'atomic'),
  imagePullSecrets: mapList(() => podReference, ['name']),
  tolerations: atomicList({ type: 'struct', struct: () => toleration }),
  hostNetwork: scalar('boolean'),
  activeDeadlineSeconds: scalar('int64'),
  restartPolicy: scalar('string'),
  dnsPolicy: scalar('string'),
  schedulerName: scalar('string'),
  nodeName: scalar('string'),
  serviceAccountName: scalar('string'),
  terminationGracePeriodSeconds: scalar('int64'),
})

const condition = struct('io.k8s.api.core.v1.PodCondition', {
  type: { value: { type: 'string' }, required: true },
  status: scalar('string'),
  reason: scalar('string'),
  lastTransitionTime: scalar('time'),
})

export const podSchema = struct('io.k8s.api.core.v1.Pod', {
  apiVersion: scalar('string'),
  kind: scalar('string'),
  metadata: structField(() => objectMetaSchema),
  spec: { ...structField(() => podSpecSchema), zero: {} },
  status: {
    ...structField(() =>
      struct('io.k8s.api.core.v1.PodStatus', {
        phase: scalar('string'),
        conditions: mapList(() => condition, ['type']),
      }),
    ),
    zero: {},
  },
})

const podTemplate = struct('io.k8s.api.core.v1.PodTemplateSpec', {
  metadata: structField(() => objectMetaSchema),
  spec: { ...structField(() => podSpecSchema), zero: {} },
})

const rollingUpdate = struct('io.k8s.api.apps.v1.RollingUpdateDeployment', {
  maxSurge: scalar('intOrString'),
  maxUnavailable: scalar('intOrString'),
})

const strategy = struct('io.k8s.api.apps.v1.DeploymentStrategy', {
  type: scalar('string'),
  rollingUpdate: structField(() => rollingUpdate),
})

const labelSelector = struct('io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector', {
  matchLabels: map({ type: 'string' }),
})

export const deploymentSchema = struct('io.k8s.api.apps.v1.Deployment', {
  apiVersion: scalar('string'),
  kind: scalar('string'),
  metadata: structField(() => objectMetaSchema),
  spec: {
    ...structField(() =>
      struct('io.k8s.api.apps.v1.DeploymentSpec', {
        replicas: scalar('int32'),
        paused: scalar('boolean'),
        revisionHistoryLimit: scalar('int32'),
        selector: structField(() => labelSelector, 'atomic'),
        strategy: { ...structField(() => strategy), patchStrategy: ['retainKeys'] },
        template: structField(() => podTemplate),
      }),
    ),
    zero: {},
  },
  status: {
    ...structField(() => struct('io.k8s.api.apps.v1.DeploymentStatus', { replicas: scalar('int32') })),
    zero: {},
  },
})
