import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod, PodSpec } from '../../generated/types/core/v1.ts'
import { behaviorOf } from '../registry.ts'

const containers = [{ name: 'a', image: 'a' }]

function pod(spec: Partial<PodSpec> = {}): Pod {
  return { metadata: { name: 'x' }, spec: { containers, ...spec } }
}

describe('warnings of a pod', () => {
  const warnings = behaviorOf('', 'Pod').warnings!

  const cases: [string, Partial<PodSpec>, string[]][] = [
    ['nothing that is usual', {}, []],
    [
      'a variable that hides another',
      {
        containers: [
          {
            name: 'a',
            env: [
              { name: 'A', value: '1' },
              { name: 'A', value: '2' },
            ],
          },
        ],
      },
      ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'],
    ],
    [
      'parts of bytes',
      { containers: [{ name: 'a', resources: { limits: { memory: '100m' } } }] },
      ['spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer'],
    ],
    [
      'a port name twice',
      {
        containers: [
          { name: 'a', ports: [{ name: 'p', containerPort: 1 }] },
          { name: 'b', ports: [{ name: 'p', containerPort: 2 }] },
        ],
      },
      [
        'spec.containers[1].ports[0]: duplicate port name "p" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]',
      ],
    ],
    [
      'an old label',
      { nodeSelector: { 'beta.kubernetes.io/os': 'linux' } },
      ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ],
    [
      'affinity to no pod',
      { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'a' }] } } },
      [
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod',
      ],
    ],
  ]
  for (const [title, spec, expected] of cases) {
    it(`name ${title}`, () => assert.deepEqual(warnings(pod(spec)), expected))
  }

  it('name a name that is no host name', () => {
    const [warning] = warnings({ ...pod(), metadata: { name: 'a.b' } })
    assert.match(
      warning!,
      /^metadata\.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: \[/,
    )
  })

  it('are not repeated on updates', () => {
    const odd = pod({ imagePullSecrets: [{ name: '' }] })
    assert.equal(warnings(odd).length, 1)
    assert.deepEqual(warnings(odd, odd), [])
  })
})

describe('warnings of other kinds', () => {
  it('name what is odd about a template, when it changes', () => {
    const warnings = behaviorOf('apps', 'Deployment').warnings!
    const template = { spec: pod({ imagePullSecrets: [{ name: '' }] }).spec }
    const object = { metadata: { name: 'x' }, spec: { template } }
    assert.deepEqual(warnings(object), ['spec.template.spec.imagePullSecrets[0].name: invalid empty name ""'])
    assert.deepEqual(warnings(object, structuredClone(object)), [])
  })

  it('name what a service ignores', () => {
    const warnings = behaviorOf('', 'Service').warnings!
    const object = { metadata: { name: 'x' }, spec: { type: 'ClusterIP', externalName: 'a' } }
    assert.deepEqual(warnings(object), ['spec.externalName is ignored when spec.type is not "ExternalName"'])
  })
})
