import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container, Pod, PodSpec } from '../../generated/types/core/v1.ts'
import { isPodActive, isPodReady, isPodTerminal } from './phase.ts'
import { podQosClass } from './qos.ts'
import { podLimits, podRequests } from './resources.ts'
import { podTemplateHash } from './template-hash.ts'

const MEBI = 1024 * 1024

function container(name: string, requests: Record<string, string>, more: Partial<Container> = {}): Container {
  return { name, resources: { requests }, ...more }
}

describe('podRequests', () => {
  const cases: [string, PodSpec, Record<string, number>][] = [
    [
      'adds containers',
      { containers: [container('a', { cpu: '100m' }), container('b', { cpu: '1', memory: '1Mi' })] },
      { cpu: 1100, memory: MEBI },
    ],
    [
      'takes an init container that needs more',
      { containers: [container('a', { cpu: '100m' })], initContainers: [container('i', { cpu: '2' })] },
      { cpu: 2000 },
    ],
    [
      'adds sidecars to the containers and to the init containers after them',
      {
        containers: [container('a', { cpu: '100m' })],
        initContainers: [
          container('early', { cpu: '600m' }),
          container('side', { cpu: '500m' }, { restartPolicy: 'Always' }),
          container('late', { cpu: '300m' }),
        ],
      },
      { cpu: 800 },
    ],
    [
      'prefers the resources of the pod',
      { containers: [container('a', { cpu: '1', 'x.y/z': '2' })], resources: { requests: { cpu: '3' } } },
      { cpu: 3000, 'x.y/z': 2 },
    ],
    [
      'adds overhead',
      { containers: [container('a', { cpu: '1' })], overhead: { cpu: '250m', memory: '1Mi' } },
      { cpu: 1250, memory: MEBI },
    ],
  ]
  for (const [title, spec, want] of cases) {
    it(title, () => assert.deepEqual(podRequests(spec), want))
  }

  it('adds overhead only to limits that are set', () => {
    const spec: PodSpec = {
      containers: [{ name: 'a', resources: { limits: { cpu: '1' } } }],
      overhead: { cpu: '250m', memory: '1Mi' },
    }
    assert.deepEqual(podLimits(spec), { cpu: 1250 })
  })
})

describe('podQosClass', () => {
  const both = { cpu: '1', memory: '1Mi' }
  const cases: [string, PodSpec, string][] = [
    ['BestEffort', { containers: [{ name: 'a' }] }, 'BestEffort'],
    ['Guaranteed', { containers: [{ name: 'a', resources: { limits: both, requests: both } }] }, 'Guaranteed'],
    [
      'Guaranteed for equal amounts in other words',
      { containers: [{ name: 'a', resources: { limits: both, requests: { cpu: '1000m', memory: '1024Ki' } } }] },
      'Guaranteed',
    ],
    [
      'Burstable when only cpu is limited',
      { containers: [{ name: 'a', resources: { limits: { cpu: '1' }, requests: { cpu: '1' } } }] },
      'Burstable',
    ],
    [
      'Burstable when containers differ',
      { containers: [{ name: 'a' }, { name: 'b', resources: { limits: both, requests: both } }] },
      'Burstable',
    ],
    [
      'decided by the pod itself',
      { containers: [{ name: 'a' }], resources: { limits: both, requests: both } },
      'Guaranteed',
    ],
  ]
  for (const [title, spec, want] of cases) {
    it(`is ${title}`, () => assert.equal(podQosClass({ metadata: {}, spec }), want))
  }
})

describe('the phase of a pod', () => {
  it('says whether it has ended, counts and is ready', () => {
    const pod: Pod = { metadata: {}, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }
    assert.deepEqual([isPodTerminal(pod), isPodActive(pod), isPodReady(pod)], [false, true, true])
    pod.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
    assert.equal(isPodActive(pod), false)
    assert.equal(isPodTerminal({ metadata: {}, status: { phase: 'Succeeded' } }), true)
  })
})

describe('podTemplateHash', () => {
  const template = { metadata: { labels: { a: '1', b: '2' } }, spec: { containers: [{ name: 'a', image: 'web' }] } }

  it('does not depend on the order of fields or on absent ones', () => {
    const same = {
      spec: { containers: [{ image: 'web', name: 'a', command: undefined }] },
      metadata: { labels: { b: '2', a: '1' } },
    }
    assert.equal(podTemplateHash(template), podTemplateHash(same))
  })

  it('changes with the template and with the count of collisions', () => {
    const changed = { ...template, spec: { containers: [{ name: 'a', image: 'web:2' }] } }
    const hashes = [
      podTemplateHash(template),
      podTemplateHash(changed),
      podTemplateHash(template, 0),
      podTemplateHash(template, 1),
    ]
    assert.equal(new Set(hashes).size, 4)
    for (const hash of hashes) assert.match(hash, /^[bcdf-hj-np-tv-xz2456789]{1,10}$/)
  })
})
