import { behaviorOf, convertObject, resources, type ResourceInfo } from '@centaurus/api'
import { keyGroupOf } from '../storage/keys.ts'
import type { ResourceDefinition } from './registry.ts'

/** `v1`, `apps/v1`. */
export function formatApiVersion({ group, version }: Pick<ResourceInfo, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`
}

/** Every built-in resource in every version, with its behaviour and the form that the store holds. */
export function builtInDefinitions(): ResourceDefinition[] {
  return resources().map(defineBuiltIn)
}

function defineBuiltIn(info: ResourceInfo): ResourceDefinition {
  const storage = {
    group: info.storageGroup,
    resource: info.resource,
    version: info.storageVersion,
    kind: info.kind,
    keyGroup: keyGroupOf(info.storageGroup),
    namespaced: info.namespaced,
  }
  const definition = { info, storage, behavior: behaviorOf(info.storageGroup, info.kind) }
  const servedVersion = formatApiVersion(info)
  const storedVersion = formatApiVersion(storage)
  if (servedVersion === storedVersion) return definition
  return {
    ...definition,
    fromStorage: (object) => convertObject(object, servedVersion),
    toStorage: (object) => convertObject(object, storedVersion),
  }
}
