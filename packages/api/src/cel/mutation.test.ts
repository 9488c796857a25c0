import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { toAdmissionCelValue } from './admission.ts'
import { compileMutationCel, fromCelValue } from './mutation.ts'
import { rewriteTypedLiterals } from './typed-literals.ts'

describe('expressions that make objects', () => {
  const object = toAdmissionCelValue({
    metadata: { name: 'a' },
    spec: { n: 2, containers: [{ name: 'c' }, { name: 'd' }] },
  })
  const make = (expression: string): unknown => {
    const { program, error } = compileMutationCel(expression, {})
    assert.equal(error, undefined)
    return fromCelValue(program!.run({ object }))
  }

  it('make apply configurations', () => {
    assert.deepEqual(make('Object{spec: Object.spec{replicas: object.spec.n + 1, on: true, f: 1.5}}'), {
      spec: { replicas: 3, on: true, f: 1.5 },
    })
    const each = 'object.spec.containers.map(c, Object.spec.containers{name: c.name, image: "r/" + c.name})'
    assert.deepEqual(make(`Object { spec: Object . spec { containers: ${each} } }`), {
      spec: {
        containers: [
          { name: 'c', image: 'r/c' },
          { name: 'd', image: 'r/d' },
        ],
      },
    })
    assert.deepEqual(make('has(object.x) ? Object{a: 1} : Object{}'), {})
    assert.deepEqual(
      make('Object{metadata: Object.metadata{labels: {"a/b": "c"}, __namespace__: "n", x__dash__y: 1}}'),
      {
        metadata: { labels: { 'a/b': 'c' }, namespace: 'n', 'x-y': 1 },
      },
    )
  })

  it('make JSON patches', () => {
    const add = 'JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b~c"), value: object.spec.n}'
    const spec = 'JSONPatch{op: "replace", path: "/spec", value: Object.spec{l: [1, 2]}}'
    assert.deepEqual(make(`object.spec.n > 5 ? [] : [${add}, ${spec}]`), [
      { op: 'add', path: '/metadata/labels/a~1b~0c', value: 2 },
      { op: 'replace', path: '/spec', value: { l: [1, 2] } },
    ])
  })

  it('leave texts, comments, maps and members as they are', () => {
    for (const source of [
      '"Object{a: 1}" + \'JSONPatch{op: 1}\' + r"Object{" + """Object{\na: 1}"""',
      '{"a": 1}.size() // Object{a: 1}\n + 1',
      String.raw`"\"Object{a: 1}"`,
      'object.Object{',
      'x ? a : b',
      'MyObject{a: 1}',
      'object.l.all(a, a in [1, 2]) && {"k": [1]}["k"][0] == 1',
    ]) {
      assert.equal(rewriteTypedLiterals(source), source)
    }
  })

  it('are refused when a literal is of another type than its field', () => {
    assert.equal(
      compileMutationCel('Object{spec: Object.status{a: 1}}', {}).error,
      'type mismatch: unexpected type name "Object.status", expected "Object.spec", which matches field name path from root Object type',
    )
    assert.match(compileMutationCel('Object{spec: 1', {}).error ?? '', /compilation failed/)
  })

  it('are read in time that grows with their length alone', () => {
    const long = `[${'JSONPatch{op: "add", path: "/a", value: object.a.b.c}, '.repeat(20_000)}]`
    assert.ok(rewriteTypedLiterals(long).length > long.length)
  })
})

describe('fromCelValue', () => {
  it('writes what JSON has, and refuses the rest', () => {
    const value = new Map<unknown, unknown>([['a', [1n, null, new Date(0)]]])
    assert.deepEqual(fromCelValue(value), { a: [1, null, '1970-01-01T00:00:00.000Z'] })
    for (const bad of [Number.NaN, undefined, new Uint8Array(1), () => 1]) {
      assert.throws(() => fromCelValue(bad), /can't be written as JSON/)
    }
  })
})
