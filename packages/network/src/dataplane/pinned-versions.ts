import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Attachments } from './attachments.ts'

/**
 * What is pinned of each version of the layouts: a folder `v<layout>` with tables in `maps/` and links in `links/`. One that is still being filled has another
 * name and no link: packets see nothing of it, and whoever starts next begins again.
 */
export class PinnedVersions {
  readonly #root: string
  readonly #version: string

  /** Takes away what was never finished. */
  constructor(root: string, version: string) {
    this.#root = root
    this.#version = version
    mkdirSync(root, { recursive: true })
    for (const name of readdirSync(root)) if (name.startsWith('next')) this.#drop(join(root, name))
  }

  get own(): string {
    return join(this.#root, `v${this.#version}`)
  }

  get unfinished(): string {
    return join(this.#root, `next${this.#version}`)
  }

  get hasOwn(): boolean {
    return existsSync(this.own)
  }

  /** Folders of other versions; first the one that most devices use. */
  listOthers(): string[] {
    const others = readdirSync(this.#root).filter((name) => name.startsWith('v') && name !== `v${this.#version}`)
    const links = (dir: string): number => linksOf(dir).list().length
    return others.map((name) => join(this.#root, name)).sort((a, b) => links(b) - links(a))
  }

  /** What was being filled is whole. From now on whoever starts goes on instead of beginning again. */
  commit(): void {
    if (!this.hasOwn) renameSync(this.unfinished, this.own)
  }

  /** Programs and tables of other versions. */
  dropOthers(): void {
    for (const dir of this.listOthers()) this.#drop(dir)
  }

  dropAll(): void {
    for (const name of readdirSync(this.#root)) this.#drop(join(this.#root, name))
    rmSync(this.#root, { recursive: true, force: true })
  }

  #drop(dir: string): void {
    const links = linksOf(dir)
    for (const attachment of links.list()) links.detach(attachment)
    // a half of its tables must never be taken for the whole
    const gone = basename(dir).startsWith('next') ? dir : join(this.#root, `next-gone-${basename(dir)}`)
    if (gone !== dir) renameSync(dir, gone)
    rmSync(gone, { recursive: true, force: true })
  }
}

/** Links of another version, whose programs this process does not have. */
export function linksOf(dir: string): Attachments {
  return new Attachments(join(dir, 'links'), () => 0)
}
