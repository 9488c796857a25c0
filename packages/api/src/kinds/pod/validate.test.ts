import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container, Pod, PodSpec, Volume } from '../../generated/types/core/v1.ts'
import { behaviorOf } from '../registry.ts'
import { validateEphemeralContainersUpdate } from './validate-update.ts'

const behavior = behaviorOf('', 'Pod')

function podOf(spec: Partial<PodSpec>): Pod {
  const pod: Pod = {
    metadata: { name: 'p', namespace: 'd' },
    spec: { containers: [{ name: 'a', image: 'web' }], ...spec },
  }
  behavior.setDefaults!(pod)
  return pod
}

function errorsOf(spec: Partial<PodSpec>): string[] {
  return behavior.validate!(podOf(spec)).map((error) => `${error.field}: ${error.message}`)
}

function withContainer(container: Partial<Container>): Partial<PodSpec> {
  return { containers: [{ name: 'a', image: 'web', ...container }] }
}

function withVolume(volume: Partial<Volume>): Partial<PodSpec> {
  return { volumes: [{ name: 'v', ...volume }] }
}

const LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
  "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

describe('a pod', () => {
  it('is fine with one container', () => assert.deepEqual(errorsOf({}), []))

  it('is fine with most of what there is', () => {
    const spec: Partial<PodSpec> = {
      initContainers: [
        { name: 's', image: 'x', restartPolicy: 'Always', startupProbe: { exec: { command: ['true'] } } },
      ],
      containers: [
        {
          name: 'a',
          image: 'web',
          ports: [{ name: 'http', containerPort: 80 }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } }],
          envFrom: [{ configMapRef: { name: 'c' } }],
          volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'x' }],
          readinessProbe: { httpGet: { port: 'http' } },
          lifecycle: { preStop: { sleep: { seconds: 5 } } },
          resources: { requests: { cpu: '1' }, limits: { cpu: '2', 'nvidia.com/gpu': '1' } },
        },
      ],
      volumes: [{ name: 'v', configMap: { name: 'c' } }],
      tolerations: [{ operator: 'Exists' }],
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'zone',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: {},
          matchLabelKeys: ['x'],
        },
      ],
    }
    assert.deepEqual(errorsOf(spec), [])
  })

  const cases: [string, Partial<PodSpec>, string | string[]][] = [
    ['no container', { containers: [] }, 'spec.containers: Required value'],
    [
      'a bad container name',
      withContainer({ name: 'A_b' }),
      `spec.containers[0].name: Invalid value: "A_b": ${LABEL_RULE.replace(',  or', ', or').replace("'my-name', or", "'my-name',  or")}`,
    ],
    ['no image', withContainer({ image: '' }), 'spec.containers[0].image: Required value'],
    [
      'a padded image',
      withContainer({ image: ' web' }),
      'spec.containers[0].image: Invalid value: " web": must not have leading or trailing whitespace',
    ],
    [
      'two containers of one name',
      {
        containers: [
          { name: 'a', image: 'x' },
          { name: 'a', image: 'y' },
        ],
      },
      'spec.containers[1].name: Duplicate value: "a"',
    ],
    [
      'a port out of range',
      withContainer({ ports: [{ containerPort: 70000 }] }),
      'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ],
    [
      'a bad port name',
      withContainer({ ports: [{ containerPort: 80, name: 'HTTP' }] }),
      [
        'spec.containers[0].ports[0].name: Invalid value: "HTTP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.containers[0].ports[0].name: Invalid value: "HTTP": must contain at least one letter (a-z)',
      ],
    ],
    [
      'a bad protocol',
      withContainer({ ports: [{ containerPort: 80, protocol: 'tcp' }] }),
      'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      'a host port used twice',
      {
        containers: [
          { name: 'a', image: 'x', ports: [{ containerPort: 80, hostPort: 80 }] },
          { name: 'b', image: 'x', ports: [{ containerPort: 81, hostPort: 80 }] },
        ],
      },
      'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"',
    ],
    [
      'a bad pull policy',
      withContainer({ imagePullPolicy: 'Maybe' }),
      'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", "Never"',
    ],
    [
      'a variable without a name',
      withContainer({ env: [{ name: '' }] }),
      'spec.containers[0].env[0].name: Required value',
    ],
    [
      'a bad variable name',
      withContainer({ env: [{ name: 'A=B' }] }),
      'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
    ],
    [
      'a value and a source',
      withContainer({ env: [{ name: 'A', value: '1', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }),
      'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ],
    [
      'a field that variables cannot have',
      withContainer({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.restartPolicy' } } }] }),
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.restartPolicy": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
    ],
    [
      'an unknown field',
      withContainer({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] }),
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x',
    ],
    [
      'a mount without its volume',
      withContainer({ volumeMounts: [{ name: 'x', mountPath: '/x' }] }),
      'spec.containers[0].volumeMounts[0].name: Not found: "x"',
    ],
    [
      'two mounts at one place',
      {
        ...withVolume({}),
        ...withContainer({
          volumeMounts: [
            { name: 'v', mountPath: '/x' },
            { name: 'v', mountPath: '/x' },
          ],
        }),
      },
      'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique',
    ],
    [
      'two volumes of one name',
      { volumes: [{ name: 'v' }, { name: 'v' }] },
      'spec.volumes[1].name: Duplicate value: "v"',
    ],
    [
      'a volume of two types',
      withVolume({ emptyDir: {}, hostPath: { path: '/x' } }),
      'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    ],
    ['a volume from no secret', withVolume({ secret: {} }), 'spec.volumes[0].secret.secretName: Required value'],
    [
      'a file mode out of range',
      withVolume({ secret: { secretName: 's', defaultMode: 1000 } }),
      'spec.volumes[0].secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive',
    ],
    [
      'a file outside of its volume',
      withVolume({ configMap: { name: 'c', items: [{ key: 'k', path: '../x' }] } }),
      'spec.volumes[0].configMap.items[0].path: Invalid value: "../x": must not contain \'..\'',
    ],
    [
      'a probe that does nothing',
      withContainer({ livenessProbe: {} }),
      'spec.containers[0].livenessProbe: Required value: must specify a handler type',
    ],
    [
      'a probe that does two things',
      withContainer({ livenessProbe: { exec: { command: ['x'] }, tcpSocket: { port: 1 } } }),
      'spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
    ],
    [
      'a liveness probe that needs two successes',
      withContainer({ livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } }),
      'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
    ],
    [
      'a request above the limit',
      withContainer({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }),
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [
      'an extended resource that may be overcommitted',
      withContainer({ resources: { requests: { 'x.y/z': '1' }, limits: { 'x.y/z': '2' } } }),
      'spec.containers[0].resources.requests: Invalid value: "1": must be equal to x.y/z limit of 2',
    ],
    [
      'a half of a device',
      withContainer({ resources: { limits: { 'x.y/z': '500m' } } }),
      [
        'spec.containers[0].resources.limits[x.y/z]: Invalid value: "500m": must be an integer',
        'spec.containers[0].resources.requests[x.y/z]: Invalid value: "500m": must be an integer',
      ],
    ],
    [
      'a negative amount',
      withContainer({ resources: { requests: { cpu: '-1' } } }),
      'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [
      'an unknown resource',
      withContainer({ resources: { requests: { gpu: '1' } } }),
      [
        'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
        'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers',
      ],
    ],
    [
      'a bad restart policy',
      { restartPolicy: 'Sometimes' },
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [
      'a probe of an init container',
      { initContainers: [{ name: 'i', image: 'x', livenessProbe: { tcpSocket: { port: 1 } } }] },
      'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
    [
      'an init container named as another',
      { initContainers: [{ name: 'a', image: 'x' }] },
      'spec.initContainers[0].name: Duplicate value: "a"',
    ],
    [
      'a toleration for no key',
      { tolerations: [{ operator: 'Equal', value: 'x' }] },
      'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
    ],
    [
      'seconds for the wrong effect',
      { tolerations: [{ key: 'k', tolerationSeconds: 1 }] },
      'spec.tolerations[0].effect: Invalid value: "": effect must be \'NoExecute\' when `tolerationSeconds` is set',
    ],
    [
      'spread without skew',
      { topologySpreadConstraints: [{ maxSkew: 0, topologyKey: 'z', whenUnsatisfiable: 'DoNotSchedule' }] },
      'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
    ],
    [
      'affinity without a topology',
      { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: '' }] } } },
      [
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must be non-empty',
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ],
    ],
    [
      'a weight out of range',
      {
        affinity: {
          nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 0, preference: {} }] },
        },
      },
      'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100',
    ],
    [
      'no terms in node affinity',
      { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } } },
      'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term',
    ],
    [
      'privilege against itself',
      withContainer({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      'spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    ],
    [
      'a user below zero',
      { securityContext: { runAsUser: -1 } },
      'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    ],
    [
      'a local seccomp profile without a name',
      { securityContext: { seccompProfile: { type: 'Localhost' } } },
      'spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
    ],
    [
      'DNS by itself without a server',
      { dnsPolicy: 'None' },
      'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None',
    ],
    [
      'a name server that is no address',
      { dnsConfig: { nameservers: ['dns'] } },
      'spec.dnsConfig.nameservers[0]: Invalid value: "dns": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      'a deadline of zero',
      { activeDeadlineSeconds: 0 },
      'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    ],
    [
      'a token without an account',
      withVolume({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
      'spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set',
    ],
    [
      'a sleep longer than grace',
      withContainer({ lifecycle: { preStop: { sleep: { seconds: 60 } } } }),
      'spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)',
    ],
    [
      'a claim that the pod lacks',
      withContainer({ resources: { claims: [{ name: 'gpu' }] } }),
      'spec.containers[0].resources.claims[0]: Not found: "gpu": must be one of the names in pod.spec.resourceClaims which is empty',
    ],
  ]
  for (const [title, spec, want] of cases) {
    it(`is refused for ${title}`, () => assert.deepEqual(errorsOf(spec), [want].flat()))
  }

  it('cannot be created with ephemeral containers or placed behind its gates', () => {
    const pod = podOf({
      nodeName: 'n',
      schedulingGates: [{ name: 'x' }],
      ephemeralContainers: [{ name: 'e', image: 'x' }],
    })
    assert.deepEqual(
      behavior.validateCreate!(pod).map((error) => `${error.field}: ${error.message}`),
      [
        'spec.ephemeralContainers: Forbidden: cannot be set on create',
        'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
      ],
    )
  })
})

function updateErrors(before: Partial<PodSpec>, after: Partial<PodSpec>): string[] {
  return behavior.validateUpdate!(podOf(after), podOf(before)).map((error) => `${error.field}: ${error.message}`)
}

describe('an update of a pod', () => {
  it('may change images, add tolerations and shorten the deadline', () => {
    const before = { activeDeadlineSeconds: 60 }
    const after = {
      ...withContainer({ image: 'web', imagePullPolicy: 'Always' }),
      tolerations: [{ key: 'a', operator: 'Exists' }],
      activeDeadlineSeconds: 30,
    }
    assert.deepEqual(updateErrors(before, after), [])
    const changed = podOf({})
    changed.spec!.containers[0]!.image = 'web:2'
    assert.deepEqual(behavior.validateUpdate!(changed, podOf({})), [])
  })

  it('may not change anything else', () => {
    assert.deepEqual(updateErrors({}, { hostname: 'x' }), [
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
        '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
        '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n+ hostname: "x"',
    ])
  })

  it('may not add containers', () => {
    const after = {
      containers: [
        { name: 'a', image: 'web' },
        { name: 'b', image: 'web' },
      ],
    }
    assert.deepEqual(updateErrors({}, after), [
      'spec.containers: Forbidden: pod updates may not add or remove containers',
    ])
  })

  it('may not take a toleration away', () => {
    assert.deepEqual(updateErrors({ tolerations: [{ key: 'a', operator: 'Exists' }] }, {}), [
      'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
    ])
  })

  it('may narrow where a gated pod runs, and only a gated one', () => {
    const gates = { schedulingGates: [{ name: 'x' }] }
    assert.deepEqual(updateErrors(gates, { ...gates, nodeSelector: { zone: 'a' } }), [])
    assert.equal(updateErrors({}, { nodeSelector: { zone: 'a' } }).length, 1)
    assert.deepEqual(updateErrors({ ...gates, nodeSelector: { zone: 'a' } }, gates), [
      'spec.nodeSelector: Invalid value: {}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    ])
  })

  it('may add ephemeral containers and not change them', () => {
    const old = podOf({ ephemeralContainers: [{ name: 'e', image: 'x' }] })
    const more = podOf({
      ephemeralContainers: [
        { name: 'e', image: 'x' },
        { name: 'f', image: 'x' },
      ],
    })
    assert.deepEqual(validateEphemeralContainersUpdate(more, old), [])
    assert.match(
      validateEphemeralContainersUpdate(podOf({}), old)[0]!.message,
      /existing ephemeral containers "e" may not be removed/,
    )
  })
})

describe('a status update of a pod', () => {
  it('may not start a container again against its policy', () => {
    const old = podOf({ restartPolicy: 'Never' })
    old.status = {
      containerStatuses: [
        { name: 'a', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: { exitCode: 1 } } },
      ],
    }
    const pod = structuredClone(old)
    pod.status!.containerStatuses![0]!.state = { running: {} }
    assert.deepEqual(behavior.validateStatusUpdate!(pod, old), [
      {
        type: 'FieldValueForbidden',
        field: 'status.containerStatuses[0].state',
        message: 'Forbidden: may not be transitioned to non-terminated state',
      },
    ])
    old.spec!.restartPolicy = 'OnFailure'
    assert.deepEqual(behavior.validateStatusUpdate!(pod, old), [])
  })

  it('keeps both address fields together', () => {
    const pod = podOf({})
    pod.status = { podIPs: [{ ip: '10.0.0.1' }] }
    assert.deepEqual(
      behavior.validateStatusUpdate!(pod, podOf({})).map((error) => error.message),
      ['Invalid value: [{"ip":"10.0.0.1"}]: podIP and podIPs must either both be set or both be unset'],
    )
  })
})
