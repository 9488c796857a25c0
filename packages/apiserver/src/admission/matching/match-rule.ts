import type { RuleWithOperations } from '@centaurus/api/admissionregistration/v1'
import type { GroupVersionResource, Operation } from './attributes.ts'

/** What a rule is held against. */
export interface RuleSubject {
  readonly operation: Operation
  readonly resource: GroupVersionResource
  readonly subresource: string
  /** `''` for what has none. */
  readonly namespace: string
}

/** Whether a rule speaks of the request. Source: apiserver pkg/admission/plugin/webhook/predicates/rules/rules.go, v0.37. */
export function matchesRule(rule: Readonly<RuleWithOperations>, subject: RuleSubject): boolean {
  const { resource, operation } = subject
  return (
    matchesScope(rule.scope ?? '*', subject) &&
    includes(rule.operations, operation) &&
    includes(rule.apiGroups, resource.group) &&
    includes(rule.apiVersions, resource.version) &&
    (rule.resources ?? []).some((text) => matchesResource(text, subject))
  )
}

function includes(items: readonly string[] | undefined, wanted: string): boolean {
  return items !== undefined && (items.includes('*') || items.includes(wanted))
}

/** A Namespace has no namespace, though requests for one carry its name there. */
function matchesScope(scope: string, { resource, namespace }: RuleSubject): boolean {
  if (scope === '*') return true
  const isNamespace = resource.group === '' && resource.version === 'v1' && resource.resource === 'namespaces'
  const isClusterWide = isNamespace || namespace === ''
  return scope === 'Cluster' ? isClusterWide : scope === 'Namespaced' && !isClusterWide
}

/** `pods`, `pods/status`, `*`, or with `*` on either side of the slash. */
function matchesResource(text: string, { resource, subresource }: RuleSubject): boolean {
  const slash = text.indexOf('/')
  const name = slash < 0 ? text : text.slice(0, slash)
  const sub = slash < 0 ? '' : text.slice(slash + 1)
  return (name === '*' || name === resource.resource) && (sub === '*' || sub === subresource)
}
