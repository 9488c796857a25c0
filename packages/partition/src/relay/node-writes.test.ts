import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeProtobuf, encodeProtobuf } from '@centaurus/api'
import { versionOf, withVersion } from './node-writes.ts'

const POD = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: {
    resourceVersion: '41',
    name: 'web',
    namespace: 'default--acme',
    annotations: { a: '"resourceVersion":"7"' },
  },
  spec: { containers: [{ name: 'c', image: 'i' }] },
}
const JSON_TYPE = 'application/json'
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

describe('the answer to a node’s write', () => {
  for (const [contentType, body] of [
    [JSON_TYPE, Buffer.from(JSON.stringify(POD))],
    [PROTOBUF_TYPE, encodeProtobuf(POD)],
  ] as const) {
    it(`says of which revision it is, and can say another: ${contentType}`, () => {
      const answer = { status: 200, contentType, body }
      assert.equal(versionOf(answer), 41)
      assert.equal(versionOf({ ...answer, status: 409 }), undefined)
      const changed = withVersion(answer, 1_000_007)
      assert.equal(versionOf(changed), 1_000_007)
      const decoded = contentType === JSON_TYPE ? JSON.parse(String(changed.body)) : decodeProtobuf(changed.body)
      assert.equal((decoded as typeof POD).metadata.name, 'web')
      assert.equal((decoded as typeof POD).spec.containers[0]?.image, 'i')
    })
  }

  it('says none when it shows no object', () => {
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }
    for (const [contentType, body] of [
      [JSON_TYPE, Buffer.from(JSON.stringify(status))],
      [PROTOBUF_TYPE, encodeProtobuf(status)],
      [PROTOBUF_TYPE, Buffer.from('k8s\0\u0012')],
      ['text/plain', Buffer.from('"resourceVersion":"1"')],
    ] as const) {
      assert.equal(versionOf({ status: 200, contentType, body }), undefined)
    }
  })
})
