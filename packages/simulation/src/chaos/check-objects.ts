import type { KubeObject, Stored } from '@centaurus/api'
import { jobs } from '@centaurus/api/batch/v1'
import { configmaps, endpoints, namespaces, pods, resourcequotas, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { isFinished, isReady } from './pod-facts.ts'
import type { Snapshot } from './snapshot.ts'

/** What is wrong with services, owners, namespaces and quotas; empty when all is well. Pure. */
export function checkObjects(snapshot: Snapshot): string[] {
  return [...checkServices(snapshot), ...checkOwners(snapshot), ...checkNamespaces(snapshot), ...checkQuotas(snapshot)]
}

function checkServices(snapshot: Snapshot): string[] {
  const all = snapshot.list(services)
  return [
    ...findRepeated(
      'cluster IP',
      all.flatMap(({ spec }) => (spec?.clusterIP && spec.clusterIP !== 'None' ? [spec.clusterIP] : [])),
    ),
    ...findRepeated(
      'node port',
      all.flatMap(({ spec }) => (spec?.ports ?? []).flatMap(({ nodePort }) => (nodePort ? [String(nodePort)] : []))),
    ),
    ...all.flatMap((service) => checkEndpoints(snapshot, service)),
  ]
}

function findRepeated(what: string, values: readonly string[]): string[] {
  return values
    .filter((value, index) => values.indexOf(value) !== index)
    .map((value) => `${what} ${value} was given twice`)
}

function checkEndpoints(snapshot: Snapshot, { metadata, spec }: Stored<Service>): string[] {
  const selector = Object.entries(spec?.selector ?? {})
  if (selector.length === 0) return []
  const expected = snapshot
    .list(pods)
    .filter(
      (pod) =>
        pod.metadata.namespace === metadata.namespace &&
        pod.metadata.deletionTimestamp === undefined &&
        !isFinished(pod),
    )
    .filter((pod) => selector.every(([key, value]) => pod.metadata.labels?.[key] === value) && isReady(pod))
    .flatMap(({ status }) => status?.podIP ?? [])
  const inSlices = snapshot
    .list(endpointslices)
    .filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace &&
        slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name,
    )
    .filter(
      (slice) =>
        slice.metadata.labels?.['endpointslice.kubernetes.io/managed-by'] === 'endpointslice-controller.k8s.io',
    )
    .flatMap((slice) => slice.endpoints ?? [])
    .flatMap(({ addresses, conditions }) => (conditions?.ready === true ? addresses : []))
  const inEndpoints = snapshot
    .list(endpoints)
    .filter((object) => object.metadata.namespace === metadata.namespace && object.metadata.name === metadata.name)
    .flatMap(({ subsets = [] }) => subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip)))
  const text = (values: readonly string[]): string => [...values].sort().join(' ')
  const problems: string[] = []
  const name = `service ${metadata.namespace}/${metadata.name}`
  if (text(inSlices) !== text(expected))
    problems.push(`${name} has slices of [${text(inSlices)}], not [${text(expected)}]`)
  if (text(inEndpoints) !== text(expected))
    problems.push(`${name} has endpoints [${text(inEndpoints)}], not [${text(expected)}]`)
  return problems
}

function checkOwners(snapshot: Snapshot): string[] {
  const alive = new Set(snapshot.all.map(({ object }) => object.metadata.uid))
  return snapshot.all.flatMap(({ type, object: { metadata } }) => {
    const owners = metadata.ownerReferences ?? []
    const name = `${type.resource} ${metadata.namespace ?? ''}/${metadata.name}`
    if (metadata.deletionTimestamp !== undefined)
      return [`${name} is still being deleted (finalizers ${(metadata.finalizers ?? []).join(' ')})`]
    if (owners.length === 0 || owners.some(({ uid }) => alive.has(uid))) return []
    return [`${name} has no living owner`]
  })
}

function checkNamespaces(snapshot: Snapshot): string[] {
  const alive = new Set(snapshot.list(namespaces).map(({ metadata }) => metadata.name))
  return snapshot.all
    .filter(({ type, object }) => type.namespaced && !alive.has(object.metadata.namespace ?? ''))
    .map(
      ({ type, object: { metadata } }) => `${type.resource} ${metadata.namespace}/${metadata.name} is in no namespace`,
    )
}

function checkQuotas(snapshot: Snapshot): string[] {
  return snapshot.list(resourcequotas).flatMap(({ metadata, spec, status }) => {
    const inNamespace = (object: Stored<KubeObject>): boolean => object.metadata.namespace === metadata.namespace
    const used: Record<string, number> = {
      pods: snapshot.list(pods).filter((pod) => inNamespace(pod) && !isFinished(pod)).length,
      configmaps: snapshot.list(configmaps).filter(inNamespace).length,
      services: snapshot.list(services).filter(inNamespace).length,
      'count/jobs.batch': snapshot.list(jobs).filter(inNamespace).length,
    }
    return Object.keys(spec?.hard ?? {})
      .filter((name) => Number(status?.used?.[name]) !== used[name])
      .map(
        (name) =>
          `quota ${metadata.namespace}/${metadata.name} says ${status?.used?.[name]} ${name}, not ${used[name]}`,
      )
  })
}
