// What these tests read of objects.

export interface ObjectMeta {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface ObjectList<T> {
  readonly metadata: { readonly resourceVersion: string }
  readonly items: readonly T[]
}

export interface ConfigMap {
  readonly metadata: ObjectMeta
  readonly data?: Readonly<Record<string, string>>
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: ConfigMap
}

export interface Pod {
  readonly metadata: ObjectMeta
  readonly spec: { readonly nodeName?: string }
  readonly status: { readonly phase?: string }
}

export interface Partition {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/** Of a node. */
export interface Allocation {
  readonly metadata: ObjectMeta
  readonly status: {
    readonly allocatable: Readonly<Record<string, string>>
    readonly claimed: Readonly<Record<string, string>>
    readonly claims: readonly { readonly uid: string }[]
  }
}

/** Of a quantity of processors. */
export function millicores(quantity: string): number {
  return quantity.endsWith('m') ? Number(quantity.slice(0, -1)) : Number(quantity) * 1000
}
