import { notFound, type KubeObject, type LabelSelector, type StatusError } from '@centaurus/api'
import type { NamedRuleWithOperations } from '@centaurus/api/admissionregistration/v1'
import { namespaces } from '@centaurus/api/core/v1'
import type { ObjectReader } from '../../resource/object-reader.ts'
import type { ResourceDefinition } from '../../resource/registry.ts'
import type { TenantRegistries } from '../../resource/tenant-registries.ts'
import { isNamespaceResource, servedVersion, type Attributes, type ServedVersion } from './attributes.ts'
import { matchesRule } from './match-rule.ts'

/** To which requests a webhook or a policy speaks; selectors are read already. */
export interface MatchCriteria {
  /** Undefined: any request that is not excluded. */
  readonly rules: readonly NamedRuleWithOperations[] | undefined
  readonly excluded: readonly NamedRuleWithOperations[]
  readonly matchPolicy: string
  readonly namespaceSelector: LabelSelector
  readonly objectSelector: LabelSelector
}

export interface MatchWorld {
  readonly reader: ObjectReader
  readonly registries: TenantRegistries
}

/**
 * The version in which the request is to be shown; undefined when the criteria do not speak of it. Throws NotFound when they do and the
 * namespace, whose labels would decide, is not there.
 * Source: apiserver pkg/admission/plugin/policy/matching/matching.go and plugin/webhook/generic/webhook.go ShouldCallHook, v0.37.
 */
export function matchRequest(
  world: MatchWorld,
  attributes: Attributes,
  criteria: MatchCriteria,
): ServedVersion | undefined {
  const inNamespace = matchNamespace(world.reader, attributes, criteria.namespaceSelector)
  if (inNamespace === false || !matchObject(attributes, criteria.objectSelector)) return undefined
  const { rules, excluded, matchPolicy } = criteria
  if (findVersion(world, attributes, { rules: excluded, matchPolicy }) !== undefined) return undefined
  const found = rules === undefined ? attributes.requested : findVersion(world, attributes, { rules, matchPolicy })
  if (found !== undefined && inNamespace !== true) throw inNamespace
  return found
}

/** A cluster-scoped request is never kept out by a namespace selector. */
function matchNamespace(reader: ObjectReader, attributes: Attributes, selector: LabelSelector): boolean | StatusError {
  const { namespace, object, operation, subresource, tenant } = attributes
  const isNamespace = isNamespaceResource(attributes.requested.definition)
  if ((namespace === '' && !isNamespace) || selector.isEmpty) return true
  // of a Namespace that is being written, what it will be counts
  if (isNamespace && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE')) {
    return selector.matches(object?.metadata.labels)
  }
  const found = reader.get(namespaces, { name: namespace }, { tenant })
  return found === undefined ? notFound(namespaces, namespace) : selector.matches(found.metadata.labels)
}

function matchObject({ object, old }: Attributes, selector: LabelSelector): boolean {
  return selector.isEmpty || hasLabels(object, selector) || hasLabels(old, selector)
}

function hasLabels(object: KubeObject | undefined, selector: LabelSelector): boolean {
  return object !== undefined && selector.matches(object.metadata?.labels)
}

/** The request's own version first; then, unless only exact matches count, others of the same objects. */
function findVersion(
  world: MatchWorld,
  attributes: Attributes,
  { rules, matchPolicy }: { readonly rules: readonly NamedRuleWithOperations[]; readonly matchPolicy: string },
): ServedVersion | undefined {
  if (rules.length === 0) return undefined
  const { operation, subresource, namespace, name } = attributes
  const speaksOf = (rule: NamedRuleWithOperations, { resource }: ServedVersion): boolean =>
    matchesRule(rule, { operation, subresource, namespace, resource }) &&
    ((rule.resourceNames ?? []).length === 0 || rule.resourceNames!.includes(name))
  const { requested } = attributes
  if (rules.some((rule) => speaksOf(rule, requested))) return requested
  if (matchPolicy !== 'Equivalent') return undefined
  const others = equivalentVersions(world.registries, attributes)
  for (const rule of rules) {
    const found = others.find((version) => speaksOf(rule, version))
    if (found !== undefined) return found
  }
  return undefined
}

/** Found once a request, however many rules are held against it. */
const equivalents = new WeakMap<Attributes, readonly ServedVersion[]>()

/** Other versions and groups under which the same objects are served. */
function equivalentVersions(registries: TenantRegistries, attributes: Attributes): readonly ServedVersion[] {
  const known = equivalents.get(attributes)
  if (known !== undefined) return known
  const { requested, subresource, tenant } = attributes
  const { storage, info } = requested.definition
  const isOther = (definition: ResourceDefinition): boolean =>
    definition.info !== info &&
    definition.storage.group === storage.group &&
    definition.storage.resource === storage.resource &&
    (subresource === '' || definition.info.subresources.some(({ name }) => name === subresource))
  const found = registries
    .of(tenant)
    .list()
    .filter(isOther)
    .map((definition) => servedVersion(definition, attributes.ownKind))
  equivalents.set(attributes, found)
  return found
}
