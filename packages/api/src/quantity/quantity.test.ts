import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  addQuantities,
  compareQuantities,
  createQuantity,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityOfMillis,
  quantityOfUnits,
  quantityValue,
  subtractQuantities,
} from './quantity.ts'

/** Text in, text as stored, whole units, thousandths. Recorded from apimachinery v0.37.2. */
const RECORDED: readonly (readonly [string, string, number, number])[] = [
  ['1', '1', 1, 1000],
  ['0', '0', 0, 0],
  ['1.5', '1500m', 2, 1500],
  ['1.500', '1.500', 2, 1500],
  ['+1', '+1', 1, 1000],
  ['01', '01', 1, 1000],
  ['0.1', '100m', 1, 100],
  ['1000m', '1', 1, 1000],
  ['1Gi', '1Gi', 1073741824, 1073741824000],
  ['1024Mi', '1Gi', 1073741824, 1073741824000],
  ['1.5Gi', '1536Mi', 1610612736, 1610612736000],
  ['0.5Ki', '512', 512, 512000],
  ['0.5Mi', '512Ki', 524288, 524288000],
  ['1e3', '1e3', 1000, 1000000],
  ['12e6', '12e6', 12000000, 12000000000],
  ['3072Ki', '3Mi', 3145728, 3145728000],
  ['1024', '1024', 1024, 1024000],
  ['1000', '1k', 1000, 1000000],
  ['5u', '5u', 1, 1],
  ['0.5n', '1n', 1, 1],
  ['1e-20', '1e-9', 1, 1],
  ['.5', '500m', 1, 500],
  ['5.', '5.', 5, 5000],
  ['m', '0', 0, 0],
  ['-1.5', '-1500m', -2, -1500],
  ['1.2345678901Gi', '1325607178167805543n', 1325607179, 1325607178168],
  ['1e1', '10', 10, 10000],
  ['500e-3', '500e-3', 1, 500],
  ['1.1Ki', '1126400m', 1127, 1126400],
  ['10000000m', '10k', 10000, 10000000],
  ['-0.5Ki', '-512', -512, -512000],
  ['1100G', '1100G', 1100000000000, 1100000000000000],
]

describe('parseQuantity', () => {
  it('stores, rounds and scales as upstream does', () => {
    for (const [text, stored, value, milliValue] of RECORDED) {
      const quantity = parseQuantity(text)
      const seen = [text, formatQuantity(quantity), quantity.value, quantity.milliValue]
      assert.deepEqual(seen, [text, stored, value, milliValue])
    }
  })

  it('caps binary amounts at the largest int64', () => {
    assert.equal(parseQuantity('100Ei').text, '9223372036854775807')
  })

  it('keeps the value of amounts past the largest suffix', () => {
    assert.equal(parseQuantity('1000E').text, '1000E')
  })

  it('refuses with the words of upstream', () => {
    for (const text of ['', 'abc', '1x', '1.2.3'])
      assert.throws(() => parseQuantity(text), /quantities must match the regular/)
    for (const text of ['1ki', '1K', '--1', '1e', '1i'])
      assert.throws(() => parseQuantity(text), /unable to parse quantity's suffix/)
  })

  it('bounds the work of hostile texts', () => {
    assert.throws(() => parseQuantity('9'.repeat(300)))
    assert.throws(() => parseQuantity('1e99999999'))
  })

  it('reads its own canonical text back to the same amount', () => {
    const formats = fc.constantFrom('BinarySI' as const, 'DecimalSI' as const, 'DecimalExponent' as const)
    const amounts = fc.bigInt(-(2n ** 62n) * 10n ** 9n, 2n ** 62n * 10n ** 9n)
    fc.assert(
      fc.property(amounts, formats, (nanos, format) => {
        const quantity = createQuantity(nanos, format)
        const again = parseQuantity(quantity.text)
        assert.equal(again.nanos, nanos)
        assert.equal(createQuantity(again.nanos, again.format).text, quantity.text)
      }),
    )
  })
})

describe('quantity arithmetic', () => {
  it('adds and subtracts exactly, in the format of the left operand', () => {
    assert.equal(addQuantities(parseQuantity('1Gi'), parseQuantity('512Mi')).text, '1536Mi')
    assert.equal(addQuantities(parseQuantity('0'), parseQuantity('1Gi')).text, '1Gi')
    assert.equal(addQuantities(parseQuantity('100m'), parseQuantity('0.9')).text, '1')
    assert.equal(subtractQuantities(parseQuantity('2'), parseQuantity('500m')).text, '1500m')
  })

  it('orders by amount, not by text', () => {
    assert.equal(compareQuantities(parseQuantity('1Ki'), parseQuantity('1024')), 0)
    assert.ok(compareQuantities(parseQuantity('1k'), parseQuantity('1Ki')) < 0)
    assert.ok(compareQuantities(parseQuantity('2'), parseQuantity('1999m')) > 0)
  })

  it('makes quantities of numbers', () => {
    assert.equal(quantityOfUnits(2 ** 30, 'BinarySI').text, '1Gi')
    assert.equal(quantityOfMillis(1500).text, '1500m')
    assert.equal(quantityValue('1Ki'), 1024)
    assert.equal(quantityMilliValue('0.25'), 250)
  })
})
