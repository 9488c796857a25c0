import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { diffStatus } from './status-writer.ts'

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
