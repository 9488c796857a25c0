import { findResource, type ResourceInfo } from '@centaurus/api'

/** A least valid object of a resource, and one change that its validation allows. */
export interface Sample {
  readonly info: ResourceInfo
  /** Without apiVersion, kind and metadata.namespace. */
  readonly object: Readonly<Record<string, unknown>>
  /** A merge patch. */
  readonly change: Readonly<Record<string, unknown>>
  /** A merge patch of the status. */
  readonly status?: Readonly<Record<string, unknown>> | undefined
}

type Table = Record<string, readonly [object, object?, object?]>

const LABEL_CHANGE = { metadata: { labels: { changed: 'yes' } } }
const labels = { app: 'a' }
const container = { name: 'c', image: 'registry.example/app:1' }
const template = { metadata: { labels }, spec: { containers: [container] } }
const selector = { matchLabels: labels }
const jobTemplate = { spec: { containers: [container], restartPolicy: 'Never' } }
const rule = { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] }
const webhook = {
  name: 'hook.example.com',
  clientConfig: { url: 'https://hook.example.com/' },
  rules: [rule],
  failurePolicy: 'Ignore',
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  namespaceSelector: { matchLabels: { 'no-such': 'label' } },
}
const never = { matchLabels: { 'no-such': 'label' } }
const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }
const subjects = [{ kind: 'User', name: 'somebody', apiGroup: 'rbac.authorization.k8s.io' }]
const claimSpec = { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu.example.com' } }] } }
const oldClaimSpec = { devices: { requests: [{ name: 'r', deviceClassName: 'gpu.example.com' }] } }
const pool = { driver: 'gpu.example.com', nodeName: 'n', pool: { name: 'p', resourceSliceCount: 1 } }
const time = '2026-01-01T00:00:00Z'
const condition = { type: 'Ready', status: 'True', lastTransitionTime: time, reason: 'Tested', message: 'said so' }
const policy = {
  matchConstraints: { resourceRules: [rule], namespaceSelector: never },
  validations: [{ expression: 'object.spec.replicas <= 5', message: 'Too many' }],
}
const mutation = {
  matchConstraints: { resourceRules: [rule], namespaceSelector: never },
  reinvocationPolicy: 'IfNeeded',
  mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } }],
}

/** For `CN=test`. */
const SIGNING_REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIHIMHECAQAwDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABNbJQyjoK98I1eMA6iuichMiAQSVw+8JwMGxIt/1+uLbsXkCw0fQjiH3e9Sw
Kyv6CLLgHqd+LVzUD9sO7XL5xNSgADAKBggqhkjOPQQDAgNHADBEAiAuPwpkKdQy
SGWa4GGMEgg6WBMi/LbbqCefV94YbcFjKAIgefLj5ZTdnqKkznuNO9WJ8LQlz5kZ
UM7tre5UbSHZT/o=
-----END CERTIFICATE REQUEST-----
`

const TABLE: Table = {
  'v1/configmaps': [{ data: { a: '1' } }, { data: { b: '2' } }],
  'v1/endpoints': [{ subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }] }],
  'v1/events': [{ involvedObject: { kind: 'Pod', name: 'p' }, reason: 'Tested', message: 'hello', type: 'Normal' }],
  'v1/limitranges': [{ spec: { limits: [{ type: 'PersistentVolumeClaim', max: { storage: '1Ti' } }] } }],
  'v1/namespaces': [{}],
  'v1/nodes': [{ spec: { podCIDR: '10.1.0.0/24' } }, { spec: { unschedulable: true } }, { conditions: [condition] }],
  'v1/persistentvolumeclaims': [
    { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
    LABEL_CHANGE,
    { phase: 'Pending' },
  ],
  'v1/persistentvolumes': [
    { spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, hostPath: { path: '/x' } } },
    { spec: { persistentVolumeReclaimPolicy: 'Delete' } },
    { phase: 'Available' },
  ],
  'v1/pods': [
    { metadata: { labels }, spec: { containers: [container] } },
    { spec: { activeDeadlineSeconds: 30 } },
    { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }], conditions: [condition] },
  ],
  'v1/podtemplates': [{ template }],
  'v1/replicationcontrollers': [
    { spec: { selector: labels, template } },
    { spec: { replicas: 2 } },
    { replicas: 1, readyReplicas: 1 },
  ],
  'v1/resourcequotas': [{ spec: { hard: { 'count/leases.x': '5' } } }, LABEL_CHANGE, { hard: { pods: '5' } }],
  'v1/secrets': [{ data: { a: 'YQ==' } }, { stringData: { b: 'text' } }],
  'v1/serviceaccounts': [{ automountServiceAccountToken: false }],
  'v1/services': [
    { spec: { selector: labels, ports: [{ port: 80 }] } },
    { spec: { ports: [{ port: 81 }] } },
    { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } },
  ],
  'apiregistration.k8s.io/v1/apiservices': [
    {
      metadata: { name: 'v1.RUN.example.com' },
      spec: {
        group: 'RUN.example.com',
        version: 'v1',
        groupPriorityMinimum: 100,
        versionPriority: 10,
        service: { name: 's', namespace: 'none' },
        insecureSkipTLSVerify: true,
      },
    },
  ],
  'apps/v1/controllerrevisions': [{ data: { a: 1 }, revision: 1 }, { revision: 2 }],
  'apps/v1/daemonsets': [{ spec: { selector, template } }, { spec: { minReadySeconds: 3 } }, { numberReady: 1 }],
  'apps/v1/deployments': [
    { spec: { selector, template } },
    { spec: { replicas: 3 } },
    {
      replicas: 1,
      conditions: [{ type: 'Available', status: 'True', lastUpdateTime: time, lastTransitionTime: time }],
    },
  ],
  'apps/v1/replicasets': [{ spec: { selector, template } }, { spec: { replicas: 3 } }, { replicas: 1 }],
  'apps/v1/statefulsets': [
    { spec: { selector, template, serviceName: 's' } },
    { spec: { replicas: 3 } },
    { replicas: 1, currentRevision: 'x' },
  ],
  'events.k8s.io/v1/events': [
    {
      regarding: { kind: 'Pod', name: 'p' },
      note: 'hello',
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingInstance: 'i',
      reportingController: 'example.com/c',
      action: 'Tested',
      reason: 'Tested',
      type: 'Normal',
    },
  ],
  'autoscaling/v2/horizontalpodautoscalers': [
    { spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' } } },
    { spec: { maxReplicas: 4 } },
    { currentReplicas: 2, desiredReplicas: 2, conditions: [] },
  ],
  'autoscaling/v1/horizontalpodautoscalers': [
    { spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' } } },
    { spec: { targetCPUUtilizationPercentage: 70 } },
    { currentReplicas: 2, desiredReplicas: 2 },
  ],
  'batch/v1/cronjobs': [
    { spec: { schedule: '* * * * *', jobTemplate: { spec: { template: jobTemplate } } } },
    { spec: { suspend: true } },
    { lastScheduleTime: time },
  ],
  'batch/v1/jobs': [{ spec: { template: jobTemplate } }, { spec: { suspend: true } }, { active: 1 }],
  'networking.k8s.io/v1/ingressclasses': [{ spec: { controller: 'example.com/c' } }],
  'networking.k8s.io/v1/ingresses': [
    { spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } } },
    { spec: { ingressClassName: 'c' } },
    { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } },
  ],
  'networking.k8s.io/v1/ipaddresses': [
    { metadata: { name: '192.0.2.77' }, spec: { parentRef: { resource: 'services', name: 's', namespace: 'n' } } },
  ],
  'networking.k8s.io/v1/networkpolicies': [{ spec: { podSelector: selector } }, { spec: { ingress: [{}] } }],
  'networking.k8s.io/v1/servicecidrs': [
    { spec: { cidrs: ['192.0.2.0/24'] } },
    LABEL_CHANGE,
    { conditions: [condition] },
  ],
  'policy/v1/poddisruptionbudgets': [
    { spec: { selector, minAvailable: 1 } },
    { spec: { minAvailable: 2 } },
    { currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 1 },
  ],
  'rbac.authorization.k8s.io/v1/clusterrolebindings': [{ roleRef, subjects }, { subjects: [] }],
  'rbac.authorization.k8s.io/v1/clusterroles': [
    { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
    { rules: [] },
  ],
  'rbac.authorization.k8s.io/v1/rolebindings': [{ roleRef, subjects }, { subjects: [] }],
  'rbac.authorization.k8s.io/v1/roles': [
    { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
    { rules: [] },
  ],
  'storage.k8s.io/v1/csidrivers': [{ spec: { podInfoOnMount: true } }, { spec: { podInfoOnMount: false } }],
  'storage.k8s.io/v1/csinodes': [{ spec: { drivers: [{ name: 'd.example.com', nodeID: 'i', topologyKeys: [] }] } }],
  'storage.k8s.io/v1/csistoragecapacities': [{ storageClassName: 'c', capacity: '1Gi' }, { capacity: '2Gi' }],
  'storage.k8s.io/v1/storageclasses': [{ provisioner: 'example.com/p' }, { allowVolumeExpansion: true }],
  'storage.k8s.io/v1/volumeattachments': [
    { spec: { attacher: 'd.example.com', nodeName: 'n', source: { persistentVolumeName: 'v' } } },
    LABEL_CHANGE,
    { attached: true },
  ],
  'storage.k8s.io/v1/volumeattributesclasses': [{ driverName: 'd.example.com', parameters: { a: 'b' } }],
  'admissionregistration.k8s.io/v1/mutatingadmissionpolicies': [{ spec: mutation }],
  'admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings': [{ spec: { policyName: 'p.example.com' } }],
  'admissionregistration.k8s.io/v1/mutatingwebhookconfigurations': [{ webhooks: [webhook] }],
  'admissionregistration.k8s.io/v1/validatingadmissionpolicies': [
    { spec: policy },
    LABEL_CHANGE,
    { observedGeneration: 1 },
  ],
  'admissionregistration.k8s.io/v1/validatingadmissionpolicybindings': [
    { spec: { policyName: 'p.example.com', validationActions: ['Deny'] } },
  ],
  'admissionregistration.k8s.io/v1/validatingwebhookconfigurations': [{ webhooks: [webhook] }],
  'apiextensions.k8s.io/v1/customresourcedefinitions': [
    {
      metadata: { name: 'things.RUN.example.com' },
      spec: {
        group: 'RUN.example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    },
  ],
  'scheduling.k8s.io/v1/priorityclasses': [{ value: 100 }, { description: 'd' }],
  'scheduling.k8s.io/v1beta1/podgroups': [
    { spec: { schedulingPolicy: { basic: {} } } },
    LABEL_CHANGE,
    { conditions: [condition] },
  ],
  'scheduling.k8s.io/v1beta1/workloads': [
    { spec: { podGroupTemplates: [{ name: 'g', schedulingPolicy: { basic: {} } }] } },
  ],
  'scheduling.k8s.io/v1alpha3/compositepodgroups': [{ spec: { schedulingPolicy: { basic: {} } } }],
  'scheduling.k8s.io/v1alpha3/podgroups': [{ spec: { schedulingPolicy: { basic: {} } } }],
  'coordination.k8s.io/v1/leases': [
    { spec: { holderIdentity: 'h', leaseDurationSeconds: 5 } },
    { spec: { holderIdentity: 'i', renewTime: '2026-01-01T00:00:00.000000Z' } },
  ],
  'coordination.k8s.io/v1beta1/leasecandidates': [
    { spec: { leaseName: 'l', binaryVersion: '0.1.0', emulationVersion: '0.1.0', strategy: 'OldestEmulationVersion' } },
  ],
  'node.k8s.io/v1/runtimeclasses': [{ handler: 'h' }],
  'discovery.k8s.io/v1/endpointslices': [
    { addressType: 'IPv4', ports: [{ port: 80 }], endpoints: [{ addresses: ['192.0.2.1'] }] },
    { endpoints: [{ addresses: ['192.0.2.2'], conditions: { ready: true } }] },
  ],
  'resource.k8s.io/v1/deviceclasses': [{ spec: {} }],
  'resource.k8s.io/v1/devicetaintrules': [
    { spec: { deviceSelector: { driver: 'gpu.example.com' }, taint: { key: 'example.com/t', effect: 'NoSchedule' } } },
  ],
  'resource.k8s.io/v1/resourceclaims': [{ spec: claimSpec }],
  'resource.k8s.io/v1/resourceclaimtemplates': [{ spec: { spec: claimSpec } }],
  'resource.k8s.io/v1/resourceslices': [{ spec: { ...pool, devices: [{ name: 'd0' }] } }],
  'resource.k8s.io/v1beta1/resourceclaims': [{ spec: oldClaimSpec }],
  'resource.k8s.io/v1beta1/resourceslices': [{ spec: { ...pool, devices: [{ name: 'd0', basic: {} }] } }],
  'flowcontrol.apiserver.k8s.io/v1/flowschemas': [
    { spec: { priorityLevelConfiguration: { name: 'global-default' } } },
    { spec: { matchingPrecedence: 900 } },
    { conditions: [{ type: 'Dangling', status: 'True', reason: 'R', message: 'm', lastTransitionTime: time }] },
  ],
  'flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations': [
    { spec: { type: 'Limited', limited: { nominalConcurrencyShares: 3, limitResponse: { type: 'Reject' } } } },
    { spec: { limited: { nominalConcurrencyShares: 4 } } },
  ],
  'storagemigration.k8s.io/v1/storageversionmigrations': [
    { spec: { resource: { group: 'example.com', resource: 'things' } } },
  ],
  'certificates.k8s.io/v1/podcertificaterequests': [
    {
      spec: {
        signerName: 'example.com/s',
        podName: 'p',
        podUID: 'u',
        serviceAccountName: 's',
        serviceAccountUID: 'su',
        nodeName: 'n',
        nodeUID: 'nu',
      },
    },
  ],
  'certificates.k8s.io/v1/clustertrustbundles': [{ spec: { trustBundle: 'not a bundle' } }],
  'certificates.k8s.io/v1/certificatesigningrequests': [
    {
      spec: {
        signerName: 'example.com/s',
        usages: ['digital signature'],
        request: Buffer.from(SIGNING_REQUEST).toString('base64'),
      },
    },
  ],
  'lifecycle.k8s.io/v1alpha1/evictionrequests': [
    { spec: { target: { pod: { name: 'p', uid: 'u' } }, requester: 'drain.example.com/x', intent: 'Eviction' } },
  ],
}

/** Every sample, named for this run. */
export function samples(run: string): Sample[] {
  return Object.entries(TABLE).map(([key, [object, change, status]]) => {
    const parts = key.split('/')
    const [group, version, resource] = (parts.length === 2 ? ['', ...parts] : parts) as [string, string, string]
    const info = findResource(group, version, resource)
    if (info === undefined) throw new Error(`No resource ${key}`)
    return {
      info,
      object: named(object, run),
      change: (change ?? LABEL_CHANGE) as Sample['change'],
      status: status as Sample['status'],
    }
  })
}

function named(object: object, run: string): Record<string, unknown> {
  return JSON.parse(JSON.stringify(object).replaceAll('RUN.', `${run}.`)) as Record<string, unknown>
}
