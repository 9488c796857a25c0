import type { PolicyRule } from '@centaurus/api/rbac/v1'
import type { AuthorizationAttributes } from '../access.ts'

/** One rule, ready to match: what was a scan over words is a look-up. */
export interface CompiledRule {
  readonly rule: PolicyRule
  readonly verbs: ReadonlySet<string>
  readonly anyVerb: boolean
  readonly groups: ReadonlySet<string>
  readonly anyGroup: boolean
  readonly resources: ReadonlySet<string>
  readonly anyResource: boolean
  /** Undefined: all names. */
  readonly names: ReadonlySet<string> | undefined
  readonly paths: readonly string[]
}

export function compileRule(rule: PolicyRule): CompiledRule {
  const groups = rule.apiGroups ?? []
  const resources = rule.resources ?? []
  return {
    rule,
    verbs: new Set(rule.verbs),
    anyVerb: rule.verbs.includes('*'),
    groups: new Set(groups),
    anyGroup: groups.includes('*'),
    resources: new Set(resources),
    anyResource: resources.includes('*'),
    names: (rule.resourceNames ?? []).length === 0 ? undefined : new Set(rule.resourceNames),
    paths: rule.nonResourceURLs ?? [],
  }
}

/** `pods`, or `pods/log`. */
export function combinedResource({
  resource,
  subresource,
}: Pick<AuthorizationAttributes, 'resource' | 'subresource'>): string {
  return subresource === '' ? resource : `${resource}/${subresource}`
}

/** Source: pkg/apis/rbac/v1/evaluation_helpers.go (v1.37). `combined` is {@link combinedResource} of the attributes. */
export function ruleAllowsResource(
  compiled: CompiledRule,
  attributes: AuthorizationAttributes,
  combined: string,
): boolean {
  return (
    (compiled.anyVerb || compiled.verbs.has(attributes.verb)) &&
    (compiled.anyGroup || compiled.groups.has(attributes.group)) &&
    (compiled.anyResource ||
      compiled.resources.has(combined) ||
      (attributes.subresource !== '' && compiled.resources.has(`*/${attributes.subresource}`))) &&
    (compiled.names === undefined || compiled.names.has(attributes.name))
  )
}

export function ruleAllowsPath(compiled: CompiledRule, verb: string, path: string): boolean {
  if (compiled.paths.length === 0 || !(compiled.anyVerb || compiled.verbs.has(verb))) return false
  return compiled.paths.some((allowed) => pathCovers(allowed, path))
}

/** True when some rule allows it; for short, fixed lists. */
export function rulesAllow(rules: readonly CompiledRule[], attributes: AuthorizationAttributes): boolean {
  if (!attributes.isResourceRequest) return rules.some((rule) => ruleAllowsPath(rule, attributes.verb, attributes.path))
  const combined = combinedResource(attributes)
  return rules.some((rule) => ruleAllowsResource(rule, attributes, combined))
}

/** What of `wanted` no rule of `held` covers, in single permissions. Source: component-helpers auth/rbac/validation/policy_comparator.go. */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(splitRule).filter((single) => !held.some((rule) => ruleCovers(rule, single)))
}

/** Joins single permissions on the same resource, for messages. Source: pkg/registry/rbac/validation/policy_compact.go. */
export function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const merged = new Map<string, PolicyRule>()
  for (const rule of rules) {
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs])
    const found = merged.get(key)
    if (rule.nonResourceURLs !== undefined || found === undefined) {
      merged.set(rule.nonResourceURLs === undefined ? key : `${key}${merged.size}`, { ...rule })
    } else {
      found.verbs = [...found.verbs, ...rule.verbs]
    }
  }
  return [...merged.values()]
}

/** `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`. */
export function formatRule(rule: PolicyRule): string {
  const parts: [string, readonly string[] | undefined][] = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ]
  const shown = parts.filter(([, words]) => words !== undefined && words.length > 0)
  return `{${shown.map(([name, words]) => `${name}:${quoteList(words ?? [])}`).join(', ')}}`
}

/** Words as Go prints a list of quoted strings. */
export function quoteList(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`
}

function splitRule(rule: PolicyRule): PolicyRule[] {
  const names: (string | undefined)[] =
    (rule.resourceNames ?? []).length === 0 ? [undefined] : (rule.resourceNames ?? [])
  const singles: PolicyRule[] = []
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs) {
        for (const name of names) {
          const single: PolicyRule = { apiGroups: [group], resources: [resource], verbs: [verb] }
          if (name !== undefined) single.resourceNames = [name]
          singles.push(single)
        }
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    for (const verb of rule.verbs) singles.push({ nonResourceURLs: [url], verbs: [verb] })
  }
  return singles
}

function ruleCovers(held: PolicyRule, single: PolicyRule): boolean {
  const heldNames = held.resourceNames ?? []
  return (
    coversWords(held.verbs, single.verbs) &&
    coversWords(held.apiGroups ?? [], single.apiGroups ?? []) &&
    coversResources(held.resources ?? [], single.resources ?? []) &&
    (heldNames.length === 0 ||
      ((single.resourceNames ?? []).length > 0 &&
        (single.resourceNames ?? []).every((name) => heldNames.includes(name)))) &&
    (single.nonResourceURLs ?? []).every((url) =>
      (held.nonResourceURLs ?? []).some((allowed) => pathCovers(allowed, url)),
    )
  )
}

function coversWords(held: readonly string[], wanted: readonly string[]): boolean {
  return held.includes('*') || wanted.every((word) => held.includes(word))
}

function coversResources(held: readonly string[], wanted: readonly string[]): boolean {
  if (coversWords(held, wanted)) return true
  return wanted.every((resource) => {
    const slash = resource.indexOf('/')
    return held.includes(resource) || (slash >= 0 && held.includes(`*/${resource.slice(slash + 1)}`))
  })
}

/** `/healthz/*` covers what starts with `/healthz/`, and `*` everything. */
function pathCovers(allowed: string, path: string): boolean {
  if (allowed === '*' || allowed === path) return true
  return allowed.endsWith('*') && path.startsWith(allowed.replace(/\*+$/, ''))
}
