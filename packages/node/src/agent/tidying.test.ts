import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { makeContainer, makePod, makeSandbox, makeState } from '../testing/pods.ts'
import { rankForEviction } from './eviction-plan.ts'
import { planDeadContainers, planDeadSandboxes } from './housekeeping.ts'
import { planImageRemoval } from './image-gc.ts'
import { readDockerConfig } from './images.ts'

const main = { name: 'main', image: 'app:1' }

describe('tidying', () => {
  it('keeps one dead container for its log', () => {
    const dead = (attempt: number) => makeContainer(main, { phase: 'exited', attempt })
    assert.deepEqual(planDeadContainers(makeState([dead(0), dead(1), dead(2), makeContainer(main, { attempt: 3 })])), [
      'main-1',
      'main-0',
    ])
    assert.deepEqual(planDeadContainers(makeState([dead(0), dead(1), dead(2)])), ['main-0'])
  })

  it('removes old sandboxes without containers', () => {
    const old = makeSandbox({ id: 'old', ready: false, createdAtMs: 1 })
    assert.deepEqual(planDeadSandboxes(makeState([makeContainer(main)], [makeSandbox(), old])), ['old'])
  })

  it('removes unused images until there is room', () => {
    const image = (id: string, sizeBytes: number, pinned = false) => ({
      id,
      repoTags: [],
      repoDigests: [],
      sizeBytes,
      uid: undefined,
      username: '',
      pinned,
    })
    const images = [image('used', 100), image('small', 1), image('big', 10), image('pinned', 50, true)]
    assert.deepEqual(
      planImageRemoval(images, new Set(['used']), 5).map(({ id }) => id),
      ['big'],
    )
  })

  it('evicts who uses more than asked for, least important first', () => {
    const pod = (uid: string, priority: number, memory: string) =>
      makePod(
        { priority, containers: [{ ...main, resources: { requests: { memory } } }] },
        { metadata: { name: uid, uid } },
      )
    const pods = [
      pod('modest', 0, '100'),
      pod('greedy', 5, '10'),
      pod('critical', 2_000_000_000, '0'),
      pod('greedier', 5, '1'),
    ]
    const usage = new Map([
      ['modest', 50],
      ['greedy', 50],
      ['critical', 500],
      ['greedier', 50],
    ])
    assert.deepEqual(
      rankForEviction(pods, { resource: 'memory', usage }).map(({ metadata }) => metadata.name),
      ['greedier', 'greedy', 'modest'],
    )
  })

  it('reads credentials of a registry', () => {
    const auth = Buffer.from('me:pass:word').toString('base64')
    const config = JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth }, 'other.io': { username: 'x' } } })
    const [found, ...others] = readDockerConfig(config, 'docker.io')
    assert.deepEqual([found?.username, found?.password, others.length], ['me', 'pass:word', 0])
    assert.deepEqual(readDockerConfig('no json', 'docker.io'), [])
  })
})
