import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Deployment, DeploymentSpec, ReplicaSet } from '@centaurus/api/apps/v1'
import { assert as assertProperty, constantFrom, integer, property, record } from 'fast-check'
import { rolloutLimits } from './limits.ts'
import { planDeployment, type DeploymentPlan } from './plan.ts'

const START_MS = Date.UTC(2026, 0, 1)

/** A deployment and its sets, with a replica set controller that makes pods available at once. */
class World {
  deployment: Stored<Deployment>
  sets: Stored<ReplicaSet>[] = []
  nowMs = START_MS
  #uid = 0

  constructor(spec: Partial<DeploymentSpec>) {
    this.deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'ns', uid: 'd', resourceVersion: '1', creationTimestamp: '', generation: 1 },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: templateOf('v1'),
        replicas: 3,
        progressDeadlineSeconds: 600,
        revisionHistoryLimit: 10,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
        ...spec,
      },
    }
  }

  change(spec: Partial<DeploymentSpec>): void {
    const { metadata } = this.deployment
    this.deployment = {
      ...this.deployment,
      metadata: { ...metadata, generation: metadata.generation! + 1 },
      spec: { ...this.deployment.spec, ...spec },
    }
  }

  plan(): DeploymentPlan {
    return planDeployment({ deployment: this.deployment, replicaSets: this.sets, pods: [], nowMs: this.nowMs })
  }

  /** One step; false when the plan changes nothing. */
  step({ isHealthy = () => true }: { isHealthy?: (set: ReplicaSet) => boolean } = {}): boolean {
    this.nowMs += 1000
    const plan = this.plan()
    const before = JSON.stringify([this.deployment, this.sets])
    if (plan.create !== undefined) {
      const creationTimestamp = new Date(this.nowMs).toISOString()
      const metadata = { ...plan.create.metadata, uid: `rs${this.#uid++}`, resourceVersion: '1', creationTimestamp }
      this.sets.push({ ...plan.create, metadata } as Stored<ReplicaSet>)
    }
    for (const { from, to } of plan.update) this.sets[this.sets.indexOf(from)] = to
    this.sets = this.sets.filter((set) => !plan.remove.includes(set))
    this.deployment = {
      ...this.deployment,
      metadata: { ...this.deployment.metadata, annotations: plan.annotations },
      status: plan.status,
    }
    this.sets = this.sets.map((set) => {
      const replicas = set.spec.replicas!
      const availableReplicas = isHealthy(set) ? replicas : 0
      return { ...set, status: { replicas, availableReplicas, readyReplicas: availableReplicas } }
    })
    return JSON.stringify([this.deployment, this.sets]) !== before
  }

  settle(): void {
    for (let i = 0; this.step(); i++) assert.ok(i < 500, 'a rollout must come to an end')
  }
}

function templateOf(version: string): DeploymentSpec['template'] {
  return { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: `web:${version}` }] } }
}

function condition(world: World, type: string): string {
  const found = world.deployment.status?.conditions?.find((candidate) => candidate.type === type)
  return `${found?.status} ${found?.reason}`
}

describe('planDeployment', () => {
  it('creates the first set with its name, labels, annotations and owner', () => {
    const world = new World({ replicas: 3 })
    const { create, annotations, status } = world.plan()
    const hash = create!.metadata.labels!['pod-template-hash']!
    assert.equal(create!.metadata.name, `web-${hash}`)
    assert.equal(create!.spec.replicas, 3)
    assert.equal(create!.spec.selector.matchLabels?.['pod-template-hash'], hash)
    assert.equal(create!.spec.template?.metadata?.labels?.['pod-template-hash'], hash)
    assert.deepEqual(create!.metadata.annotations, {
      'deployment.kubernetes.io/revision': '1',
      'deployment.kubernetes.io/desired-replicas': '3',
      'deployment.kubernetes.io/max-replicas': '4',
    })
    assert.equal(create!.metadata.ownerReferences?.[0]?.blockOwnerDeletion, true)
    assert.equal(annotations['deployment.kubernetes.io/revision'], '1')
    assert.equal(status.conditions?.find(({ type }) => type === 'Progressing')?.reason, 'NewReplicaSetCreated')
  })

  it('ends complete, and then plans nothing', () => {
    const world = new World({})
    world.settle()
    assert.equal(condition(world, 'Progressing'), 'True NewReplicaSetAvailable')
    assert.equal(condition(world, 'Available'), 'True MinimumReplicasAvailable')
    assert.equal(world.step(), false)
  })

  it('never has fewer available or more pods than allowed in a rolling update', () => {
    const amount = constantFrom<(number | string)[]>(0, 1, 3, '10%', '25%', '50%', '100%')
    assertProperty(
      property(
        record({ replicas: integer({ min: 0, max: 30 }), maxSurge: amount, maxUnavailable: amount }),
        ({ replicas, ...rollingUpdate }) => {
          const world = new World({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate } })
          world.settle()
          world.change({ template: templateOf('v2') })
          const limits = rolloutLimits(world.deployment)
          for (let i = 0; world.step(); i++) {
            const wanted = world.sets.reduce((sum, set) => sum + set.spec.replicas!, 0)
            assert.ok(wanted <= replicas + limits.maxSurge, `${wanted} pods`)
            assert.ok(wanted >= replicas - limits.maxUnavailable, `${wanted} available`)
            assert.ok(i < 500)
          }
          assert.deepEqual(
            world.sets.map((set) => set.spec.replicas),
            [0, replicas],
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  it('stops at the surge when the new pods never become available, and says so after the deadline', () => {
    const world = new World({ replicas: 4, progressDeadlineSeconds: 10 })
    world.settle()
    world.change({ template: templateOf('broken') })
    const isHealthy = (set: ReplicaSet): boolean => !set.spec.template!.spec!.containers[0]!.image!.endsWith('broken')
    for (let i = 0; i < 30; i++) world.step({ isHealthy })
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [3, 2],
    )
    assert.equal(condition(world, 'Progressing'), 'False ProgressDeadlineExceeded')
    assert.equal(condition(world, 'Available'), 'True MinimumReplicasAvailable')
  })

  it('brings an old set back on a rollback, with a new revision and its history', () => {
    const world = new World({})
    for (const version of ['v1', 'v2', 'v1']) {
      world.change({ template: templateOf(version) })
      world.settle()
    }
    assert.equal(world.sets.length, 2)
    const annotations = world.sets[0]!.metadata.annotations!
    assert.equal(annotations['deployment.kubernetes.io/revision'], '3')
    assert.equal(annotations['deployment.kubernetes.io/revision-history'], '1')
    assert.equal(world.deployment.metadata.annotations?.['deployment.kubernetes.io/revision'], '3')
  })

  it('scales the sets in the middle of a rollout in proportion', () => {
    const world = new World({
      replicas: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
    })
    world.settle()
    world.change({ template: templateOf('v2') })
    for (let i = 0; i < 5; i++)
      world.step({ isHealthy: (set) => !set.spec.template!.spec!.containers[0]!.image!.endsWith('v2') })
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [8, 5],
    )
    world.change({ replicas: 15 })
    world.step({ isHealthy: (set) => !set.spec.template!.spec!.containers[0]!.image!.endsWith('v2') })
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [11, 7],
    )
  })

  it('recreates only when no old pod is left', () => {
    const world = new World({ strategy: { type: 'Recreate' } })
    world.settle()
    world.change({ template: templateOf('v2') })
    world.step()
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [0],
    )
    world.settle()
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [0, 3],
    )
  })

  it('rolls nothing out while paused, but scales', () => {
    const world = new World({})
    world.settle()
    world.change({ paused: true, template: templateOf('v2'), replicas: 5 })
    world.settle()
    assert.deepEqual(
      world.sets.map((set) => set.spec.replicas),
      [5],
    )
    assert.equal(condition(world, 'Progressing'), 'Unknown DeploymentPaused')
  })

  it('keeps as many old sets as the history limit says', () => {
    const world = new World({ revisionHistoryLimit: 1 })
    for (const version of ['v1', 'v2', 'v3', 'v4']) {
      world.change({ template: templateOf(version) })
      world.settle()
    }
    assert.deepEqual(
      world.sets.map((set) => set.metadata.annotations?.['deployment.kubernetes.io/revision']),
      ['3', '4'],
    )
  })
})
