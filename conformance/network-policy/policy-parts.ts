import type { LabelSelector } from '@centaurus/api/meta/v1'
import type {
  NetworkPolicy,
  NetworkPolicyEgressRule,
  NetworkPolicyIngressRule,
  NetworkPolicySpec,
} from '@centaurus/api/networking/v1'
import type { PolicyAction } from './policy-case.ts'

/** Pods with the name. */
export function pod(name: string): LabelSelector {
  return { matchLabels: { pod: name } }
}

/** The namespace with the name, by the label that each has. */
export function namespace(name: string): LabelSelector {
  return { matchLabels: { 'kubernetes.io/metadata.name': name } }
}

export function otherNamespacesThan(name: string): LabelSelector {
  return { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [name] }] }
}

/** Makes or replaces a policy in namespace x. */
export function set(name: string, spec: NetworkPolicySpec): PolicyAction {
  return { type: 'set', policy: policyIn('x', name, spec) }
}

export function policyIn(where: string, name: string, spec: NetworkPolicySpec): NetworkPolicy {
  return { metadata: { namespace: where, name }, spec }
}

/** For pods of the target only ingress is restricted. */
export function ingressOnly(target: LabelSelector, ...ingress: NetworkPolicyIngressRule[]): NetworkPolicySpec {
  return { podSelector: target, policyTypes: ['Ingress'], ingress }
}

/** For pods of the target only egress is restricted. */
export function egressOnly(target: LabelSelector, ...egress: NetworkPolicyEgressRule[]): NetworkPolicySpec {
  return { podSelector: target, policyTypes: ['Egress'], egress }
}
