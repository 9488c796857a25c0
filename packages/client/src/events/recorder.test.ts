import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '@centaurus/api'
import type { Event } from '@centaurus/api/core/v1'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client } from '../client.ts'
import { createEventRecorder } from './recorder.ts'

function podNamed(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', uid: name } }
}

describe('event recorder', () => {
  it('goes on after a flood about one object was dropped', async () => {
    const written: string[] = []
    const client = {
      create: async (_: unknown, event: Event) => void written.push(`${event.involvedObject.name} ${event.message}`),
    } as unknown as Client
    const recorder = createEventRecorder({
      client,
      component: 'test',
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    for (let i = 0; i < 30; i++) {
      recorder.record(podNamed('noisy'), { type: 'Warning', reason: `R${i}`, message: 'again' })
      await recorder.flush()
    }
    recorder.record(podNamed('quiet'), { type: 'Normal', reason: 'Started', message: 'Container started' })
    await recorder.flush()
    assert.equal(written.length, 26)
    assert.equal(written.at(-1), 'quiet Container started')
    await recorder.close()
  })
})
