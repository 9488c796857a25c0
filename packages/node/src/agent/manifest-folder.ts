import { watch, type FSWatcher } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'

import { parseStaticPod } from '../pod/static-pod.ts'

/** Source: KubeletConfiguration fileCheckFrequency, v1.37. */
const PERIOD_MS = 20_000
/** Changes of files that come together are read together. */
const DELAY_MS = 100
const MANIFESTS_MAX = 256

export interface ManifestFolderOptions {
  readonly dir: string
  readonly nodeName: string
  readonly clock: Clock
  readonly logger: Logger
  /** All pods of the folder, whenever one came, changed or went. */
  readonly onPods: (pods: readonly Pod[]) => void
}

/**
 * Reads the manifests of a folder now, when they change, and every 20 s. A manifest that can't be read keeps its pod as it was, so that an
 * editor's half-written file ends nothing (upstream drops the pod). Names that start with a dot are not looked at.
 */
export class ManifestFolder {
  readonly #options: ManifestFolderOptions
  readonly #known = new Map<string, { readonly text: string; readonly pod: Pod | undefined }>()
  #watcher: FSWatcher | undefined
  #timer: Timer | undefined
  #soon: Timer | undefined
  #reading: Promise<void> | undefined
  #told: string | undefined
  #closed = false

  constructor(options: ManifestFolderOptions) {
    this.#options = options
  }

  /** Resolves when the folder was read once. */
  async start(): Promise<void> {
    await this.#read()
    this.#schedule()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#soon?.cancel()
    this.#watcher?.close()
    await this.#reading
  }

  #schedule(): void {
    if (this.#closed) return
    this.#timer = this.#options.clock.setTimer(PERIOD_MS, () => {
      void this.#read().finally(() => this.#schedule())
    })
  }

  #read(): Promise<void> {
    const { dir, logger } = this.#options
    this.#watch()
    this.#reading ??= this.#readAll()
      .catch((error: unknown) => logger.warn('Could not read the folder of static Pods', { dir, error }))
      .finally(() => (this.#reading = undefined))
    return this.#reading
  }

  /** The folder may be made later: it is tried again with each look. */
  #watch(): void {
    if (this.#watcher !== undefined || this.#closed) return
    try {
      this.#watcher = watch(this.#options.dir, { persistent: false }, () => {
        this.#soon ??= this.#options.clock.setTimer(DELAY_MS, () => {
          this.#soon = undefined
          void this.#read()
        })
      })
      this.#watcher.on('error', () => {
        this.#watcher?.close()
        this.#watcher = undefined
      })
    } catch {
      this.#watcher = undefined
    }
  }

  async #readAll(): Promise<void> {
    const { dir, logger, onPods } = this.#options
    const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    const names = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name)
    if (names.length > MANIFESTS_MAX) logger.warn('Too many manifests of static Pods', { dir, limit: MANIFESTS_MAX })
    const read = names.toSorted().slice(0, MANIFESTS_MAX)
    for (const name of this.#known.keys()) if (!read.includes(name)) this.#known.delete(name)
    for (const name of read) await this.#readManifest(name)
    const pods = [...this.#known.values()].flatMap(({ pod }) => (pod === undefined ? [] : [pod]))
    const told = pods.map(({ metadata }) => metadata.uid).join(' ')
    if (this.#closed || told === this.#told) return
    this.#told = told
    onPods(pods)
  }

  async #readManifest(name: string): Promise<void> {
    const { dir, nodeName, clock, logger } = this.#options
    const path = join(dir, name)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    const known = this.#known.get(name)
    if (text === undefined || known?.text === text) return
    try {
      this.#known.set(name, { text, pod: parseStaticPod(text, { nodeName, path, nowMs: clock.now() }) })
    } catch (error) {
      logger.warn('Could not read the manifest of a static Pod', { path, error })
      this.#known.set(name, { text, pod: known?.pod })
    }
  }
}
