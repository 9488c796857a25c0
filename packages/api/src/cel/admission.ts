import type { Environment } from '@marcbachmann/cel-js'
import { newCelEnvironment } from '../crd/cel-environment.ts'
import { toCelValue } from '../crd/cel-values.ts'
import { registerAuthorizer } from './authorizer.ts'
import { compileCel, type CompiledCel } from './program.ts'
import { ESCAPE_KEY_FUNCTION } from './typed-literals.ts'

/** What an expression of admission may name beside `object`, `oldObject`, `request` and `namespaceObject`. */
export interface AdmissionCelOptions {
  readonly params?: boolean | undefined
  readonly authorizer?: boolean | undefined
  readonly variables?: boolean | undefined
  /** It makes JSON patches: `jsonpatch.escapeKey` is there. */
  readonly patches?: boolean | undefined
}

const environments = new Map<string, Environment>()

/** Compiles a match condition, validation or message of admission; `wanted` undefined: of any type. Source: apiserver pkg/admission/plugin/cel/compile.go. */
export function compileAdmissionCel(
  expression: string,
  wanted: readonly string[] | undefined,
  options: AdmissionCelOptions = {},
): CompiledCel {
  const compiled = compileCel(environmentFor(options), expression, wanted)
  if (compiled.error === undefined || compiled.got === undefined || wanted === undefined) return compiled
  const types = wanted.length === 1 ? wanted[0] : `one of [${wanted.join(' ')}]`
  return { error: `must evaluate to ${types} but got ${compiled.got}` }
}

/** A value of the API as expressions see it: JSON, with whole numbers for integers. Undefined is null. */
export function toAdmissionCelValue(value: unknown): unknown {
  return toCelValue(value, {})
}

function environmentFor({ params, authorizer, variables, patches }: AdmissionCelOptions): Environment {
  const key = [params, authorizer, variables, patches].map((on) => (on === true ? '1' : '0')).join('')
  let environment = environments.get(key)
  if (environment !== undefined) return environment
  environment = newCelEnvironment()
  for (const name of ['object', 'oldObject', 'request', 'namespaceObject']) environment.registerVariable(name, 'dyn')
  if (params === true) environment.registerVariable('params', 'dyn')
  if (variables === true) environment.registerVariable('variables', 'dyn')
  if (authorizer === true) registerAuthorizer(environment)
  if (patches === true) {
    environment.registerFunction(`${ESCAPE_KEY_FUNCTION}(string): string`, (key: string) =>
      key.replaceAll('~', '~0').replaceAll('/', '~1'),
    )
  }
  environments.set(key, environment)
  return environment
}
