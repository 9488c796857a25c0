import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeShaping, readStatedBandwidth } from './describe-shaping.ts'
import type { ShapingState } from './shaping-keeper.ts'

const edt: ShapingState = { mode: 'edt', device: 'eth0', bandwidth: 10e9, rates: [] }
const nodeWith = (value: string) => ({ metadata: { annotations: { 'centaurus.io/link-bandwidth': value } } })

describe('what a Node says of its shaping', () => {
  it('is what the link carries', () => {
    const words = describeShaping(edt)
    assert.equal(words?.status, 'True')
    assert.match(words.message ?? '', /"eth0" carries 10000 Mbit\/s/)
  })

  it('is how to say it, where the device does not', () => {
    const words = describeShaping({ ...edt, bandwidth: undefined })
    assert.match(words?.message ?? '', /annotate the Node with centaurus.io\/link-bandwidth/)
  })

  it('is what is wrong and what to do', () => {
    const problem = { reason: 'NoFq', message: 'This kernel has no fq' }
    assert.deepEqual(describeShaping({ ...edt, mode: 'htb', problem }), {
      type: 'NetworkShaping',
      status: 'False',
      ...problem,
    })
  })

  it('is nothing on a machine without a network', () => {
    assert.equal(describeShaping({ ...edt, device: undefined }), undefined)
  })
})

describe('what people say that a link carries', () => {
  it('is a quantity of bits a second', () => {
    assert.deepEqual(readStatedBandwidth(nodeWith('2.5G')), { bandwidth: 2.5e9 })
    assert.deepEqual(readStatedBandwidth(undefined), {})
  })

  it('is refused in words when it is none', () => {
    assert.match(readStatedBandwidth(nodeWith('fast')).problem?.message ?? '', /link-bandwidth: "fast" must be/)
  })
})
