import { validateCustomResourceDefinition, type KindBehavior } from '@centaurus/api'
import type { CustomResourceDefinition } from '@centaurus/api/apiextensions/v1'
import type { ResourceDefinition } from '../resource/registry.ts'
import { CLEANUP_FINALIZER } from './naming.ts'

/**
 * How CustomResourceDefinitions themselves behave. Source: apiextensions-apiserver pkg/registry/customresourcedefinition/strategy.go
 * and pkg/apis/apiextensions/v1/defaults.go (v0.37). Upstream adds the clean-up finalizer when a delete begins; here it is there
 * from the start.
 */
const BEHAVIOR: KindBehavior<CustomResourceDefinition> = {
  setDefaults(draft) {
    const { spec } = draft
    if (spec?.names === undefined) return
    if ((spec.names.singular ?? '') === '' && spec.names.kind !== undefined)
      spec.names.singular = spec.names.kind.toLowerCase()
    if ((spec.names.listKind ?? '') === '' && (spec.names.kind ?? '') !== '')
      spec.names.listKind = `${spec.names.kind}List`
    spec.conversion ??= { strategy: 'None' }
  },
  prepareForCreate(draft) {
    const storage = storageVersion(draft)
    draft.status = {
      conditions: [],
      acceptedNames: { plural: '', kind: '' },
      storedVersions: storage === undefined ? [] : [storage],
    }
    const finalizers = draft.metadata.finalizers ?? []
    if (!finalizers.includes(CLEANUP_FINALIZER)) draft.metadata.finalizers = [...finalizers, CLEANUP_FINALIZER]
  },
  prepareForUpdate(draft) {
    const storage = storageVersion(draft)
    const stored = draft.status?.storedVersions ?? []
    if (storage !== undefined && !stored.includes(storage))
      draft.status = { ...draft.status, storedVersions: [...stored, storage] }
  },
}

/** The built-in definition of CustomResourceDefinitions with what the published schema cannot say. */
export function defineCustomResourceDefinitions(builtIn: ResourceDefinition): ResourceDefinition {
  return {
    ...builtIn,
    behavior: { ...builtIn.behavior, ...(BEHAVIOR as unknown as KindBehavior) },
    validateSchema: (object, old) =>
      validateCustomResourceDefinition(object as CustomResourceDefinition, {
        old: old as CustomResourceDefinition | undefined,
      }),
  }
}

function storageVersion(crd: Readonly<CustomResourceDefinition>): string | undefined {
  return crd.spec?.versions?.find((version) => version.storage)?.name
}
