import { forbidden, type KubeObject } from '@centaurus/api'
import { customresourcedefinitions } from '@centaurus/api/apiextensions/v1'
import type { CheckedWrite, WriteCheck } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { ObjectReader } from '../resource/object-reader.ts'

/** On a definition of `system`: served in every tenant, each with objects of its own. The second is Arktos'. */
const SHARING_LABELS = ['centaurus.io/crd-sharing-policy', 'arktos.futurewei.com/crd-sharing-policy']
const FORCED = 'forced'

export function isShared({ metadata }: Pick<KubeObject, 'metadata'>): boolean {
  return SHARING_LABELS.some((label) => metadata.labels?.[label] === FORCED)
}

/** Tenants can neither define what the operators share nor share anything. Source: Arktos' registry of CustomResourceDefinitions. */
export function createSharingCheck({ reader }: { readonly reader: ObjectReader }): WriteCheck {
  return {
    group: customresourcedefinitions.group,
    resource: customresourcedefinitions.resource,
    check(write: CheckedWrite) {
      const { object, info } = write
      if (info.tenant === SYSTEM_TENANT || object === undefined) return
      const name = object.metadata.name ?? ''
      const labels = object.metadata.labels ?? {}
      const label = SHARING_LABELS.find((entry) => labels[entry] !== undefined)
      if (label !== undefined) throw forbidden(customresourcedefinitions, name, `label "${label}" may not be set`)
      const taken = write.operation === 'create' ? reader.get(customresourcedefinitions, { name }) : undefined
      if (taken === undefined || !isShared(taken)) return
      throw forbidden(customresourcedefinitions, name, 'this resource is provided by the cluster')
    },
  }
}
