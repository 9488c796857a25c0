import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { StatusError } from '../status/status-error.ts'
import { checkFieldLabels, parseFieldSelector } from './field-selector.ts'
import { everything, nothing, selectorFromLabels, selectorFromObject } from './label-selector.ts'
import { parseLabelSelector } from './parse-label-selector.ts'

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof StatusError)
    assert.equal(error.code, 400)
    return error.message
  }
  return 'accepted'
}

describe('parseLabelSelector', () => {
  it('matches as each operator says', () => {
    const labels = { app: 'web', tier: 'front', size: '10', constructor: 'x' }
    const cases: readonly (readonly [string, boolean])[] = [
      ['', true],
      ['app=web', true],
      ['app==web,tier!=back', true],
      ['app!=web', false],
      ['missing!=web', true],
      ['app in (web,db)', true],
      ['app in (db)', false],
      ['app notin (db, cache)', true],
      ['missing notin (a)', true],
      ['app', true],
      ['!app', false],
      ['!missing', true],
      ['size>9', true],
      ['size<10', false],
      ['app>1', false],
      ['toString', false],
      ['constructor=x', true],
      ['missing in ()', false],
      ['app in (in,notin,web)', true],
      ['in in (in)', false],
    ]
    for (const [text, expected] of cases) assert.equal(parseLabelSelector(text).matches(labels), expected, text)
  })

  it('treats an empty value and an absent label apart', () => {
    assert.equal(parseLabelSelector('a=').matches({ a: '' }), true)
    assert.equal(parseLabelSelector('a=').matches({}), false)
    assert.equal(parseLabelSelector('a').matches(undefined), false)
  })

  it('prints requirements sorted by key, in the canonical form', () => {
    assert.equal(
      parseLabelSelector('z , x in (foo,,baz), y notin ( ), !q').toString(),
      '!q,x in (,baz,foo),y notin (),z',
    )
  })

  it('reads what it prints', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/)
    const term = fc.oneof(
      fc.tuple(name, fc.constantFrom('=', '==', '!='), name).map((parts) => parts.join('')),
      fc
        .tuple(name, fc.constantFrom('in', 'notin'), fc.array(name, { minLength: 1, maxLength: 3 }))
        .map(([key, operator, values]) => `${key} ${operator} (${values.join(',')})`),
      name,
      name.map((key) => `!${key}`),
    )
    fc.assert(
      fc.property(fc.array(term, { maxLength: 4 }), (terms) => {
        const printed = parseLabelSelector(terms.join(', ')).toString()
        assert.equal(parseLabelSelector(printed).toString(), printed)
      }),
    )
  })

  it('refuses with the words of upstream', () => {
    assert.equal(
      messageOf(() => parseLabelSelector(',a')),
      "found ',', expected: !, identifier, or 'end of string'",
    )
    assert.equal(
      messageOf(() => parseLabelSelector('a in b')),
      "unable to parse requirement: found 'b' expected: '('",
    )
    assert.equal(
      messageOf(() => parseLabelSelector('a b')),
      "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    )
    assert.equal(
      messageOf(() => parseLabelSelector('a=b,')),
      "found '', expected: identifier after ','",
    )
    assert.match(
      messageOf(() => parseLabelSelector('a=b c')),
      /^found 'c', expected: ',' or 'end of string'$/,
    )
    assert.match(
      messageOf(() => parseLabelSelector('-a=b')),
      /^unable to parse requirement: <nil>: Invalid value: "-a": name part must consist/,
    )
    assert.match(
      messageOf(() => parseLabelSelector('a=-b')),
      /^unable to parse requirement: values\[0\]\[a\]: Invalid value: "-b": a valid label must be/,
    )
    assert.match(
      messageOf(() => parseLabelSelector('a>b')),
      /values\[0\]: Invalid value: "b": for 'Gt', 'Lt' operators, the value must be an integer/,
    )
  })
})

describe('selectorFromObject', () => {
  it('matches nothing when absent and everything when empty', () => {
    assert.equal(selectorFromObject(undefined), nothing)
    assert.equal(selectorFromObject({}), everything)
    assert.equal(nothing.matches({ a: 'b' }), false)
  })

  it('joins labels and expressions', () => {
    const selector = selectorFromObject({
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'env', operator: 'NotIn', values: ['dev'] },
        { key: 'tier', operator: 'Exists' },
      ],
    })
    assert.equal(selector.matches({ app: 'web', tier: 'x' }), true)
    assert.equal(selector.matches({ app: 'web', tier: 'x', env: 'dev' }), false)
    assert.equal(selector.requiredValue('app'), 'web')
    assert.equal(selector.requiredValue('tier'), undefined)
  })

  it('refuses unknown operators and empty sets', () => {
    const unknown = messageOf(() => selectorFromObject({ matchExpressions: [{ key: 'a', operator: 'Near' }] }))
    assert.equal(unknown, '"Near" is not a valid label selector operator')
    const empty = messageOf(() => selectorFromObject({ matchExpressions: [{ key: 'a', operator: 'In' }] }))
    assert.equal(empty, "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
  })

  it('takes plain labels without checking them', () => {
    assert.equal(selectorFromLabels({ a: 'b' }).matches({ a: 'b', c: 'd' }), true)
    assert.equal(selectorFromLabels({}), everything)
  })
})

describe('parseFieldSelector', () => {
  it('matches equal and unequal values; absent is empty', () => {
    const fields = { 'metadata.name': 'a', 'spec.nodeName': '' }
    assert.equal(parseFieldSelector('metadata.name=a').matches(fields), true)
    assert.equal(parseFieldSelector('metadata.name==a,spec.nodeName!=').matches(fields), false)
    assert.equal(parseFieldSelector('spec.nodeName=').matches(fields), true)
    assert.equal(parseFieldSelector('other=').matches(fields), true)
  })

  it('escapes in values', () => {
    const selector = parseFieldSelector('a=x\\,y\\=z\\\\')
    assert.equal(selector.requiredValue('a'), 'x,y=z\\')
    assert.equal(selector.toString(), 'a=x\\,y\\=z\\\\')
  })

  it('refuses with the words of upstream', () => {
    assert.equal(
      messageOf(() => parseFieldSelector('a')),
      "invalid selector: 'a'; can't understand 'a'",
    )
    assert.equal(
      messageOf(() => parseFieldSelector('a=\\x')),
      'invalid field selector: invalid escape sequence: \\x',
    )
    assert.equal(
      messageOf(() => parseFieldSelector('a=b=c')),
      'invalid field selector: unescaped character in value: 61',
    )
    assert.equal(
      messageOf(() => checkFieldLabels(parseFieldSelector('a=b'), new Set(['c']))),
      'field label not supported: a',
    )
  })
})
