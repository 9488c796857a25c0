import { CelAuthorizer, longestCollection, toAdmissionCelValue, type KubeObject } from '@centaurus/api'
import type { Authorizer } from '../../access/access.ts'
import { describeRequest } from './admission-request.ts'
import type { Attributes, ServedVersion } from './attributes.ts'
import { askAuthorizer } from './expression-access.ts'

/** The values that expressions name, and what bounds the cost of walking them. */
export interface Activation {
  readonly values: Record<string, unknown>
  /** Items of the longest list or map. */
  longest: number
  /** Of everything as text. */
  readonly characters: () => number
  /** Of the whole request. */
  readonly total: { stepsLeft: number }
}

export interface ActivationInit {
  readonly version: ServedVersion
  readonly authorizer: Authorizer
  readonly params?: KubeObject | undefined
  readonly namespaceObject?: KubeObject | undefined
}

/** Source: apiserver pkg/admission/plugin/cel/activation.go, v0.37. What is not there is null. */
export function createActivation(attributes: Attributes, init: ActivationInit): Activation {
  const { version, params, namespaceObject, authorizer } = init
  const plain = {
    object: attributes.objectIn(version),
    oldObject: attributes.oldIn(version),
    params,
    namespaceObject,
  }
  const request = describeRequest(attributes, version)
  const values: Record<string, unknown> = {
    request: toAdmissionCelValue(request),
    authorizer: createAuthorizer(attributes, authorizer),
  }
  let longest = longestCollection(request)
  for (const [name, object] of Object.entries(plain)) {
    const seen = object === undefined ? NOTHING : seenBy(attributes, object, name === 'namespaceObject')
    values[name] = seen.value
    longest = Math.max(longest, seen.longest)
  }
  const characters = (): number => JSON.stringify({ ...plain, request }).length
  return { values, longest, characters, total: attributes.steps }
}

interface Seen {
  readonly value: unknown
  readonly longest: number
}

const NOTHING: Seen = { value: null, longest: 0 }

/** Objects are made values once a request, however many expressions look at them. */
const seenObjects = new WeakMap<Attributes, Map<KubeObject, Seen>>()

function seenBy(attributes: Attributes, object: KubeObject, isNamespace: boolean): Seen {
  let known = seenObjects.get(attributes)
  if (known === undefined) seenObjects.set(attributes, (known = new Map()))
  let seen = known.get(object)
  if (seen === undefined) {
    const shown = isNamespace ? withoutOwners(object) : object
    seen = { value: toAdmissionCelValue(shown), longest: longestCollection(shown) }
    known.set(object, seen)
  }
  return seen
}

/** Of a Namespace's metadata, expressions see neither owners nor managers. */
function withoutOwners(namespace: KubeObject): KubeObject {
  const { ownerReferences: _owners, managedFields: _fields, ...metadata } = namespace.metadata
  return { ...namespace, metadata }
}

function createAuthorizer(attributes: Attributes, authorizer: Authorizer): CelAuthorizer {
  const { requested, subresource, namespace, name } = attributes
  const { group, resource } = requested.resource
  return new CelAuthorizer((question) => askAuthorizer(authorizer, attributes, question), {
    request: { group, resource, subresource, namespace, name },
  })
}
