import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findKind } from '@centaurus/api'
import { deprecationWarning } from './deprecation.ts'

// Recorded from the kube-apiserver of v1.37.2.
describe('deprecationWarning', () => {
  it('says since when, until when, and what to use', () => {
    const warningOf = (group: string, version: string, kind: string) =>
      deprecationWarning(findKind(group, version, kind)!)
    assert.equal(
      warningOf('', 'v1', 'Endpoints'),
      'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
    )
    assert.equal(
      warningOf('resource.k8s.io', 'v1beta1', 'ResourceClaim'),
      'resource.k8s.io/v1beta1 ResourceClaim is deprecated in v1.35+, unavailable in v1.38+',
    )
    assert.equal(warningOf('', 'v1', 'ComponentStatus'), 'v1 ComponentStatus is deprecated in v1.19+')
    assert.equal(warningOf('apps', 'v1', 'Deployment'), undefined)
  })
})
