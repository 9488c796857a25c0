/**
 * Who makes a policy that reads objects must be allowed to read them: else its messages would tell what they may not see.
 * Source: pkg/registry/admissionregistration/{validating,mutating}admissionpolicy{,binding}/authz.go, v1.37.
 */
import { deepEqual, FieldPath, forbiddenField, invalidObject, parseGroupVersion, type KubeObject } from '@centaurus/api'
import {
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type ParamKind,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from '@centaurus/api/admissionregistration/v1'
import type { Authorizer } from '../../access/access.ts'
import type { CheckedWrite, WriteCheck } from '../../extension.ts'
import type { GroupResourceName, ObjectReader } from '../../resource/object-reader.ts'
import type { TenantRegistries } from '../../resource/tenant-registries.ts'

export interface ParamAccessDeps {
  readonly reader: ObjectReader
  readonly registries: TenantRegistries
  readonly authorizer: Authorizer
}

/** Checks for writes of policies and of their bindings. */
export function paramAccessChecks(deps: ParamAccessDeps): readonly WriteCheck[] {
  return [
    ...[validatingadmissionpolicies, mutatingadmissionpolicies].map((type) => ({
      ...nameOf(type),
      check: (write: CheckedWrite) => checkPolicy(deps, type, write),
    })),
    ...BINDINGS.map(([type, policies]) => ({
      ...nameOf(type),
      check: (write: CheckedWrite) => checkBinding(deps, { kind: type.kind, policies }, write),
    })),
  ]
}

const BINDINGS = [
  [validatingadmissionpolicybindings, validatingadmissionpolicies],
  [mutatingadmissionpolicybindings, mutatingadmissionpolicies],
] as const

type AnyPolicy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy
type AnyBinding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding

function nameOf({ group, resource }: { group: string; resource: string }): { group: string; resource: string } {
  return { group, resource }
}

function checkPolicy(deps: ParamAccessDeps, { kind }: { readonly kind: string }, write: CheckedWrite): void {
  const paramKind = (write.object as AnyPolicy | undefined)?.spec?.paramKind
  if (paramKind === undefined || deepEqual(paramKind, (write.old as AnyPolicy | undefined)?.spec?.paramKind)) return
  if (mayRead(deps, write, { kind: paramKind, verb: 'get', namespace: '*', name: '*' })) return
  const what = `the referenced paramKind (kind=${paramKind.kind}, apiVersion=${paramKind.apiVersion})`
  const why = `user ${write.user.name} must have "get" permission on all objects of ${what}`
  throw refusal(kind, write.object!, { field: 'paramKind', why })
}

interface BindingKind {
  readonly kind: string
  /** Where its policy is. */
  readonly policies: GroupResourceName<AnyPolicy>
}

function checkBinding(deps: ParamAccessDeps, { kind, policies }: BindingKind, write: CheckedWrite): void {
  const spec = (write.object as AnyBinding | undefined)?.spec
  const ref = spec?.paramRef
  if (ref === undefined || deepEqual(spec, (write.old as AnyBinding | undefined)?.spec)) return
  const policy = deps.reader.get(policies, { name: spec?.policyName ?? '' }, { tenant: write.info.tenant })
  const { name = '', namespace = '' } = ref
  const verb = name === '' ? 'list' : 'get'
  if (mayRead(deps, write, { kind: policy?.spec?.paramKind, verb, namespace, name })) return
  const why = `user ${write.user.name} does not have "${verb}" permission on the object referenced by paramRef`
  throw refusal(kind, write.object!, { field: 'paramRef', why })
}

interface Reading {
  /** Undefined: nobody knows yet, so it may be any. */
  readonly kind: ParamKind | undefined
  readonly verb: string
  readonly namespace: string
  readonly name: string
}

function mayRead({ registries, authorizer }: ParamAccessDeps, { user, info }: CheckedWrite, reading: Reading): boolean {
  const { tenant } = info
  const { verb, namespace, name } = reading
  return authorizer.authorize({
    ...resourceOf(registries, tenant, reading.kind),
    user,
    tenant,
    verb,
    namespace,
    name,
    isResourceRequest: true,
    path: '',
    subresource: '',
  }).allowed
}

function resourceOf(
  registries: TenantRegistries,
  tenant: string,
  kind: ParamKind | undefined,
): { readonly group: string; readonly version: string; readonly resource: string } {
  if (kind === undefined) return { group: '*', version: '*', resource: '*' }
  const { group, version } = parseGroupVersion(kind.apiVersion ?? '')
  const resource = registries.of(tenant).findKind(group, version, kind.kind ?? '')?.info.resource ?? '*'
  return { group, version, resource }
}

function refusal(
  kind: string,
  { metadata }: KubeObject,
  { field, why }: { readonly field: string; readonly why: string },
): Error {
  const { group } = validatingadmissionpolicies
  const path = new FieldPath('spec').child(field)
  return invalidObject({ group, kind }, metadata.name ?? '', [forbiddenField(path, why)])
}
