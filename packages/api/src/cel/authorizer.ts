import type { Environment } from '@marcbachmann/cel-js'
import { checkDnsLabel, checkDnsSubdomain } from '../meta/names.ts'

/** What an expression asks the authorizer. Source: apiserver pkg/cel/library/authz.go. */
export interface CelAccessQuestion {
  /** Undefined: whoever made the request. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined
  readonly verb: string
  /** Undefined: a resource is meant. */
  readonly path: string | undefined
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly fieldSelector?: string | undefined
  readonly labelSelector?: string | undefined
}

export interface CelAccessAnswer {
  readonly allowed: boolean
  readonly reason: string
}

export type CelAuthorize = (question: CelAccessQuestion) => CelAccessAnswer

const PREFIX = 'kubernetes.authorization'
const NOTHING: CelAccessQuestion = {
  serviceAccount: undefined,
  verb: '',
  path: undefined,
  group: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
}

/** The value of `authorizer`; `authorizer.requestResource` is what the request itself is about. */
export class CelAuthorizer {
  readonly requestResource: CelResourceCheck
  readonly authorize: CelAuthorize
  readonly serviceAccount: CelAccessQuestion['serviceAccount']

  constructor(
    authorize: CelAuthorize,
    of: { readonly request: Partial<CelAccessQuestion>; readonly serviceAccount?: CelAccessQuestion['serviceAccount'] },
  ) {
    this.authorize = authorize
    this.serviceAccount = of.serviceAccount
    this.requestResource = new CelResourceCheck(authorize, { ...NOTHING, ...of.request })
  }
}

class Check {
  readonly authorize: CelAuthorize
  readonly question: CelAccessQuestion

  constructor(authorize: CelAuthorize, question: CelAccessQuestion) {
    this.authorize = authorize
    this.question = question
  }
}

class CelPathCheck extends Check {}
class CelGroupCheck extends Check {}
class CelResourceCheck extends Check {}

class CelDecision {
  readonly answer: CelAccessAnswer

  constructor(answer: CelAccessAnswer) {
    this.answer = answer
  }
}

/** Declares `authorizer` and what can be asked of it. */
export function registerAuthorizer(environment: Environment): void {
  const [authorizer, path, group, resource, decision] = [
    'Authorizer',
    'PathCheck',
    'GroupCheck',
    'ResourceCheck',
    'Decision',
  ].map((name) => `${PREFIX}.${name}`) as [string, string, string, string, string]
  environment.registerType(resource, { ctor: CelResourceCheck, fields: {} })
  environment.registerType(authorizer, { ctor: CelAuthorizer, fields: { requestResource: resource } })
  environment.registerType(path, { ctor: CelPathCheck, fields: {} })
  environment.registerType(group, { ctor: CelGroupCheck, fields: {} })
  environment.registerType(decision, { ctor: CelDecision, fields: {} })
  environment.registerVariable('authorizer', authorizer)
  environment.registerFunction(`${authorizer}.path(string): ${path}`, (own: CelAuthorizer, text: string) => {
    if (text.trim() === '') throw new Error('path must not be empty')
    return new CelPathCheck(own.authorize, { ...asked(own), path: text.startsWith('/') ? text : `/${text}` })
  })
  environment.registerFunction(
    `${authorizer}.group(string): ${group}`,
    (own: CelAuthorizer, name: string) => new CelGroupCheck(own.authorize, { ...asked(own), group: name }),
  )
  environment.registerFunction(
    `${authorizer}.serviceAccount(string, string): ${authorizer}`,
    (own: CelAuthorizer, namespace: string, name: string) => ofServiceAccount(own, { namespace, name }),
  )
  environment.registerFunction(`${group}.resource(string): ${resource}`, (check: CelGroupCheck, name: string) => {
    if (name.trim() === '') throw new Error('resource must not be empty')
    return new CelResourceCheck(check.authorize, { ...check.question, resource: name })
  })
  for (const member of ['subresource', 'namespace', 'name', 'fieldSelector', 'labelSelector'] as const) {
    environment.registerFunction(
      `${resource}.${member}(string): ${resource}`,
      (check: CelResourceCheck, value: string) =>
        new CelResourceCheck(check.authorize, { ...check.question, [member]: value }),
    )
  }
  const check = ({ authorize, question }: Check, verb: string): CelDecision =>
    new CelDecision(authorize({ ...question, verb }))
  environment.registerFunction(`${path}.check(string): ${decision}`, check)
  environment.registerFunction(`${resource}.check(string): ${decision}`, check)
  environment.registerFunction(`${decision}.allowed(): bool`, ({ answer }: CelDecision) => answer.allowed)
  environment.registerFunction(`${decision}.reason(): string`, ({ answer }: CelDecision) => answer.reason)
  // our authorizers decide from what they hold: they have no errors
  environment.registerFunction(`${decision}.errored(): bool`, () => false)
  environment.registerFunction(`${decision}.error(): string`, () => '')
}

function asked({ serviceAccount }: CelAuthorizer): CelAccessQuestion {
  return { ...NOTHING, serviceAccount }
}

function ofServiceAccount(own: CelAuthorizer, account: { namespace: string; name: string }): CelAuthorizer {
  if (checkDnsLabel(account.namespace).length > 0) throw new Error('Invalid service account namespace')
  if (checkDnsSubdomain(account.name).length > 0) throw new Error('Invalid service account name')
  return new CelAuthorizer(own.authorize, { request: own.requestResource.question, serviceAccount: account })
}
