import type { KubeObject, Stored } from '@centaurus/api'
import { compareResourceVersions, type Informer } from '@centaurus/client'

interface Newest {
  /** Undefined: of none. */
  readonly revision: string | undefined
  readonly uid: string | undefined
}

/** The greatest resourceVersion in each part of an informer's objects. A change costs nothing; only when the newest object goes all of its part are looked at. */
export class NewestRevisions {
  readonly #known = new Map<string, Newest>()
  readonly #find: (part: string) => Newest
  readonly #stop: () => void

  /** `index` of the informer finds the objects of a part, which `partOf` names. */
  constructor(informer: Informer<KubeObject>, index: string, partOf: (object: Stored<KubeObject>) => string) {
    this.#find = (part) => {
      let newest: Newest = { revision: undefined, uid: undefined }
      for (const object of informer.byIndex(index, part)) newest = newer(newest, object)
      return newest
    }
    const put = (object: Stored<KubeObject>): void => {
      const known = this.#known.get(partOf(object))
      if (known !== undefined) this.#known.set(partOf(object), newer(known, object))
    }
    this.#stop = informer.addHandler({
      onAdd: put,
      onUpdate: put,
      onDelete: (object) => {
        if (this.#known.get(partOf(object))?.uid === object.metadata.uid) this.#known.delete(partOf(object))
      },
    })
  }

  /** Undefined: there are no objects. */
  of(part: string): string | undefined {
    let known = this.#known.get(part)
    if (known === undefined) this.#known.set(part, (known = this.#find(part)))
    return known.revision
  }

  close(): void {
    this.#stop()
  }
}

function newer(known: Newest, { metadata }: Stored<KubeObject>): Newest {
  const { resourceVersion: revision, uid } = metadata
  const isNewer = known.revision === undefined || compareResourceVersions(revision, known.revision) > 0
  return isNewer ? { revision, uid } : known
}
