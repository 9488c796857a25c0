import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '@centaurus/api'
import { encodeCopy, originOf, readOrigin } from './copies.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const tricky = fc.constantFrom(
  '"centaurus.io/origin":"other"',
  '{"centaurus.io/origin":"other","centaurus.io/origin-revision":"9"}',
  '\\"centaurus.io/origin\\":\\"other',
)

describe('copies', () => {
  it('say where they are from, in their bytes as in their annotations', () => {
    const strings = fc.dictionary(text, fc.oneof(text, tricky), { maxKeys: 4, noNullPrototype: true })
    fc.assert(
      fc.property(strings, strings, fc.nat(), (annotations, data, revision) => {
        const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'n', annotations }, data }
        const plain = Buffer.from(JSON.stringify(object))
        assert.equal(readOrigin(plain), undefined)
        const put = { type: 'PUT', tenant: 't', resource: 'core/configmaps', key: 'd/n', revision, object } as const
        const bytes = encodeCopy(put, 'tp1')
        const origin = { partition: 'tp1', revision }
        assert.deepEqual(readOrigin(bytes), origin)
        assert.deepEqual(originOf(JSON.parse(Buffer.from(bytes).toString()) as KubeObject), origin)
      }),
    )
  })
})
