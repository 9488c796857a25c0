import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileAdmissionCel, toAdmissionCelValue } from './admission.ts'
import { CelAuthorizer, type CelAccessQuestion } from './authorizer.ts'
import { CEL_STEPS_MAX, celStepsOf } from './program.ts'

const run = (expression: string, values: Record<string, unknown>, options = {}): unknown =>
  compileAdmissionCel(expression, undefined, options).program!.run(values)

describe('expressions of admission', () => {
  it('see objects as JSON with whole numbers', () => {
    const object = toAdmissionCelValue({ metadata: { name: 'a', namespace: 'b', 'x-y': 1 }, spec: { n: 3, f: 1.5 } })
    assert.equal(run('object.metadata.namespace + object.metadata.name', { object }), 'ba')
    assert.equal(run('object.metadata["x-y"] == 1 && object.spec.n == 3 && object.spec.f > 1.0', { object }), true)
    assert.equal(run('has(object.spec.constructor) || has(object.toString)', { object }), false)
    assert.equal(run('oldObject == null', { oldObject: toAdmissionCelValue(undefined) }), true)
  })

  it('do not compile when they name what is not there or are of another type', () => {
    const error = (expression: string, options = {}): string | undefined =>
      compileAdmissionCel(expression, ['bool'], options).error
    assert.equal(error('params.x == 1', { params: true }), undefined)
    assert.equal(error('params.x == 1'), 'compilation failed: Unknown variable: params')
    assert.equal(error('"a"'), 'must evaluate to bool but got string')
    assert.match(error('object.x ==') ?? '', /^compilation failed: /)
  })

  it('ask the authorizer', () => {
    const asked: Partial<CelAccessQuestion>[] = []
    const authorizer = new CelAuthorizer(
      (question) => {
        asked.push(question)
        return { allowed: question.verb === 'get', reason: 'because' }
      },
      { request: { group: 'apps', resource: 'deployments', namespace: 'a', name: 'b' } },
    )
    const ask = (expression: string): unknown => run(expression, { authorizer }, { authorizer: true })
    assert.equal(ask('authorizer.requestResource.check("get").allowed()'), true)
    assert.equal(ask('authorizer.path("healthz").check("post").reason()'), 'because')
    const pods = 'authorizer.serviceAccount("n", "sa").group("").resource("pods").subresource("log").namespace("x")'
    assert.equal(ask(`${pods}.name("y").check("list").allowed()`), false)
    const blank = {
      serviceAccount: undefined,
      path: undefined,
      group: '',
      resource: '',
      subresource: '',
      namespace: '',
      name: '',
    }
    assert.deepEqual(asked, [
      { ...blank, group: 'apps', resource: 'deployments', namespace: 'a', name: 'b', verb: 'get' },
      { ...blank, path: '/healthz', verb: 'post' },
      {
        ...blank,
        serviceAccount: { namespace: 'n', name: 'sa' },
        resource: 'pods',
        subresource: 'log',
        namespace: 'x',
        name: 'y',
        verb: 'list',
      },
    ])
    assert.throws(() => ask('authorizer.group("").resource(" ").check("get").allowed()'), /resource must not be empty/)
  })
})

describe('the cost of an expression', () => {
  const steps = (expression: string, longest: number): number =>
    celStepsOf(compileAdmissionCel(expression, undefined).program!, { longest, characters: () => 1_000_000 })

  it('grows with what it walks, and with walks inside of walks', () => {
    assert.ok(steps('object.x == 1', 100) < 1000)
    assert.ok(steps('object.l.all(a, a > 1)', 100) < steps('object.l.all(a, object.l.all(b, a > b))', 100))
    assert.ok(steps('object.l.all(a, object.l.all(b, object.l.all(c, a > b)))', 1000) > CEL_STEPS_MAX)
    assert.ok(steps('object.s.split("").all(a, a == "b")', 1) > CEL_STEPS_MAX)
  })

  it('counts what doubles a list again and again', () => {
    const doubling =
      'cel.bind(a, object.l + object.l, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, d + d))))'
    assert.ok(steps(doubling, 1000) > CEL_STEPS_MAX)
  })
})
