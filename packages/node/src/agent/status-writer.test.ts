import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { pods } from '@centaurus/api/core/v1'
import { createManualClock, silentLogger } from '@centaurus/base'

import { createMemoryClient } from '../testing/memory-client.ts'
import { createStatusWriter, diffStatus } from './status-writer.ts'

describe('a status writer', () => {
  it('writes again what somebody else changed, as the controller that marks pods of silent nodes', async () => {
    const client = createMemoryClient()
    const writer = createStatusWriter({ client, clock: createManualClock(), logger: silentLogger })
    const pod = await client.create(pods, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { containers: [{ name: 'main', image: 'nginx' }] },
    })
    const status = { conditions: [{ type: 'Ready', status: 'True' }] }
    writer.set(pod, status)
    await writer.flushed(pod.metadata.uid)
    const written = await client.get(pods, { namespace: 'default', name: 'web' })
    const body = { status: { conditions: [{ type: 'Ready', status: 'False' }] } }
    const changed = await client.patch(pods, { namespace: 'default', name: 'web' }, { type: 'merge', body })
    writer.set(written, status) // what the agent knew before tells it nothing
    await writer.flushed(pod.metadata.uid)
    writer.set(changed, status)
    await writer.flushed(pod.metadata.uid)
    const { status: last } = await client.get(pods, { namespace: 'default', name: 'web' })
    assert.equal(last?.conditions?.[0]?.status, 'True')
    writer.close()
  })
})

describe('diffStatus', () => {
  it('sends what changed, and null for what went', () => {
    assert.deepEqual(diffStatus({ phase: 'Pending', message: 'x', reason: 'y' }, { phase: 'Running', reason: 'y' }), {
      phase: 'Running',
      message: null,
    })
  })

  it('sends changed conditions alone, without what they said before', () => {
    const ready = { type: 'Ready', status: 'False', reason: 'ContainersNotReady', message: 'm' }
    const scheduled = { type: 'PodScheduled', status: 'True' }
    const diff = diffStatus(
      { conditions: [ready, scheduled] },
      { conditions: [{ type: 'Ready', status: 'True' }, scheduled] },
    )
    assert.deepEqual(diff, { conditions: [{ type: 'Ready', status: 'True', reason: null, message: null }] })
  })

  it('replaces addresses, which would merge', () => {
    assert.deepEqual(diffStatus({ podIPs: [{ ip: 'a' }] }, { podIPs: [{ ip: 'b' }] }), {
      podIPs: [{ $patch: 'replace' }, { ip: 'b' }],
    })
  })
})
