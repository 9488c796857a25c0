import { cp, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

const FILE = 'store.mdb'
const PAGE_BYTES = 4096
/** LMDB's two headers, which the store checks before LMDB sees them. */
const HEADER_PAGES = 2
/** Where a page says how long its index is. LMDB believes that, and dies of this. */
const INDEX_LENGTH_AT = 20
const DEADLY = Buffer.of(2, 0)

/** In what ways {@link damageStore} breaks a store. */
export const DAMAGES = ['deadly', 'of another'] as const
export type Damage = (typeof DAMAGES)[number]

export interface DamageOptions {
  readonly damage: Damage
  /** Folder of a store of another partition. */
  readonly another: string
}

/** Breaks the embedded store in the folder `store`, which nobody has open. */
export async function damageStore(store: string, { damage, another }: DamageOptions): Promise<void> {
  switch (damage) {
    case 'deadly':
      return changePages(join(store, FILE))
    case 'of another':
      for (const name of await readdir(store)) await rm(join(store, name))
      return cp(another, store, { recursive: true })
  }
}

async function changePages(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    const { size } = await handle.stat()
    for (let page = HEADER_PAGES; page * PAGE_BYTES < size; page++) {
      await handle.write(DEADLY, 0, DEADLY.length, page * PAGE_BYTES + INDEX_LENGTH_AT)
    }
  } finally {
    await handle.close()
  }
}
