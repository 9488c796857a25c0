import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container, Pod, PodSpec } from '../../generated/types/core/v1.ts'
import type { BehaviorContext } from '../behavior.ts'
import { behaviorOf } from '../registry.ts'
import { imageTag } from './image.ts'

const behavior = behaviorOf('', 'Pod')
const context: BehaviorContext = { nowMs: Date.parse('2026-03-01T00:00:00Z'), user: 'me', groups: [] }

function defaulted(spec: PodSpec): PodSpec {
  const pod: Pod = { metadata: { name: 'p' }, spec }
  behavior.setDefaults!(pod)
  return pod.spec!
}

function defaultedContainer(container: Partial<Container>): Container {
  return defaulted({ containers: [{ name: 'a', ...container }] }).containers[0]!
}

describe('defaults of pods', () => {
  it('fill a pod that names one image', () => {
    assert.deepEqual(defaulted({ containers: [{ name: 'a', image: 'web:1' }] }), {
      containers: [
        {
          name: 'a',
          image: 'web:1',
          imagePullPolicy: 'IfNotPresent',
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    })
  })

  it('are the same when they are set again', () => {
    const spec = defaulted({ containers: [{ name: 'a', resources: { limits: { cpu: '1' } } }], hostNetwork: true })
    const before = structuredClone(spec)
    assert.deepEqual(defaulted(spec), before)
  })

  const images: [string, string][] = [
    ['web', 'Always'],
    ['web:latest', 'Always'],
    ['web:v1', 'IfNotPresent'],
    ['registry:5000/web', 'Always'],
    ['registry:5000/web:1', 'IfNotPresent'],
    ['web@sha256:0123', 'IfNotPresent'],
    ['web:latest@sha256:0123', 'Always'],
  ]
  for (const [image, policy] of images) {
    it(`pull ${image} ${policy}`, () => assert.equal(defaultedContainer({ image }).imagePullPolicy, policy))
  }

  it('read the tag of an image', () => assert.equal(imageTag('a.b:80/c/d:e'), 'e'))

  it('fill probes', () => {
    const { readinessProbe, livenessProbe } = defaultedContainer({
      readinessProbe: { httpGet: { port: 80 } },
      livenessProbe: { grpc: { port: 90 }, periodSeconds: 3 },
    })
    const times = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }
    assert.deepEqual(readinessProbe, { httpGet: { port: 80, path: '/', scheme: 'HTTP' }, ...times })
    assert.deepEqual(livenessProbe, { grpc: { port: 90, service: '' }, ...times, periodSeconds: 3 })
  })

  it('fill references in the environment', () => {
    const { env } = defaultedContainer({
      env: [
        { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      ],
    })
    assert.deepEqual(env, [
      { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } } },
      { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '0' } } },
    ])
  })

  it('take requests from limits in a pod and not in a template', () => {
    const resources = { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1' } }
    assert.deepEqual(defaultedContainer({ resources: structuredClone(resources) }).resources?.requests, {
      cpu: '1',
      memory: '1Gi',
    })
    const deployment = {
      metadata: {},
      spec: {
        selector: {},
        template: { spec: { containers: [{ name: 'a', resources: structuredClone(resources) }] } },
      },
    }
    behaviorOf('apps', 'Deployment').setDefaults!(deployment)
    assert.deepEqual(deployment.spec.template.spec.containers[0]!.resources, resources)
  })

  it('round amounts up to a thousandth', () => {
    const { resources } = defaultedContainer({ resources: { limits: { cpu: '1000001n' } } })
    assert.deepEqual(resources, { limits: { cpu: '2m' }, requests: { cpu: '2m' } })
  })

  it('fill volumes', () => {
    const { volumes } = defaulted({
      containers: [],
      volumes: [
        { name: 'none' },
        { name: 'secret', secret: { secretName: 's' } },
        { name: 'host', hostPath: { path: '/x' } },
        { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
        { name: 'claim', ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } },
      ],
    })
    assert.deepEqual(volumes, [
      { name: 'none', emptyDir: {} },
      { name: 'secret', secret: { secretName: 's', defaultMode: 420 } },
      { name: 'host', hostPath: { path: '/x', type: '' } },
      {
        name: 'token',
        projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }], defaultMode: 420 },
      },
      {
        name: 'claim',
        ephemeral: {
          volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'], resources: {}, volumeMode: 'Filesystem' } },
        },
      },
    ])
  })

  it('give container ports to the host on its network', () => {
    const spec = defaulted({ hostNetwork: true, containers: [{ name: 'a', ports: [{ containerPort: 80 }] }] })
    assert.deepEqual(spec.containers[0]!.ports, [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }])
  })

  it('keep both names of the service account', () => {
    assert.equal(defaulted({ containers: [], serviceAccountName: 'a', serviceAccount: 'b' }).serviceAccount, 'a')
    assert.equal(defaulted({ containers: [], serviceAccount: 'b' }).serviceAccountName, 'b')
  })
})

describe('a new pod', () => {
  it('is Pending, with its class of service', () => {
    const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'a' }] }, status: { phase: 'Running' } }
    behavior.prepareForCreate!(pod, context)
    assert.deepEqual(pod.status, { phase: 'Pending', qosClass: 'BestEffort' })
  })

  it('says that its gates hold it back', () => {
    const pod: Pod = { metadata: {}, spec: { containers: [], schedulingGates: [{ name: 'example.com/wait' }] } }
    behavior.prepareForCreate!(pod, context)
    assert.deepEqual(pod.status?.conditions?.[0], {
      type: 'PodScheduled',
      status: 'False',
      lastTransitionTime: '2026-03-01T00:00:00Z',
      reason: 'SchedulingGated',
      message: 'Scheduling is blocked due to non-empty scheduling gates',
    })
  })

  it('turns label keys of spread constraints into expressions', () => {
    const pod: Pod = {
      metadata: { labels: { hash: '1' } },
      spec: {
        containers: [],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'zone',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: {},
            matchLabelKeys: ['hash', 'no'],
          },
        ],
      },
    }
    behavior.prepareForCreate!(pod, context)
    assert.deepEqual(pod.spec?.topologySpreadConstraints?.[0]?.labelSelector, {
      matchExpressions: [{ key: 'hash', operator: 'In', values: ['1'] }],
    })
  })

  it('is completed at the level of the pod', () => {
    const pod: Pod = {
      metadata: {},
      spec: {
        resources: { limits: { cpu: '2' } },
        containers: [{ name: 'a', resources: { requests: { cpu: '500m', memory: '64Mi' } } }],
      },
    }
    behavior.prepareForCreate!(pod, context)
    assert.deepEqual(pod.spec?.resources, { limits: { cpu: '2' }, requests: { cpu: '500m', memory: '64Mi' } })
    assert.equal(pod.status?.qosClass, 'Burstable')
  })
})

describe('a pod', () => {
  const placed: Pod = { metadata: {}, spec: { containers: [], nodeName: 'n', terminationGracePeriodSeconds: 7 } }

  it('has grace when a node runs it', () => {
    assert.equal(behavior.defaultGraceSeconds!(placed), 7)
    assert.equal(behavior.defaultGraceSeconds!({ ...placed, spec: { containers: [] } } as Pod), 0)
    assert.equal(behavior.defaultGraceSeconds!({ ...placed, status: { phase: 'Failed' } } as Pod), 0)
  })

  it('can be selected by the fields that it names', () => {
    const fields = behavior.selectableFields!(placed)
    assert.deepEqual(Object.keys(fields).toSorted(), [...behavior.selectableFieldNames!])
    assert.equal(fields['spec.nodeName'], 'n')
    assert.equal(fields['spec.hostNetwork'], 'false')
  })

  it('keeps what a status update leaves out', () => {
    const old: Pod = {
      metadata: {},
      status: {
        qosClass: 'Burstable',
        observedGeneration: 4,
        conditions: [{ type: 'Ready', status: 'True', observedGeneration: 4 }],
      },
    }
    const draft: Pod = { metadata: {}, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] } }
    behavior.prepareForStatusUpdate!(draft, old, context)
    assert.equal(draft.status?.qosClass, 'Burstable')
    assert.equal(draft.status?.observedGeneration, 4)
    assert.equal(draft.status?.conditions?.[0]?.observedGeneration, 4)
  })
})
