import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { whyNoOwnNetwork } from './prerequisites.ts'

describe('what the pod network needs', () => {
  it('is a kernel with tcx', () => {
    for (const kernel of ['6.6.0-rc1', '6.12.9+deb13-amd64', '7.0.1']) assert.equal(whyNoOwnNetwork(kernel), undefined)
    assert.equal(whyNoOwnNetwork('6.1.0-28-amd64'), 'it needs Linux 6.6 or later, and this is 6.1.0-28-amd64')
    assert.match(whyNoOwnNetwork('5.15.167')!, /this is 5\.15\.167/)
  })
})
