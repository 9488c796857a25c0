import type { KubeObject, ResourceType } from '@centaurus/api'
import { systemClock, systemRandom, silentLogger } from '@centaurus/base'
import type { Client, SelectOptions } from '../client.ts'
import type { Informer, InformerFactory } from '../informer.ts'
import { SharedInformer, type InformerDeps } from './shared-informer.ts'

export type InformerFactoryOptions = Partial<Omit<InformerDeps, 'client'>>

/** Informers over `client`, one for each resource and selection. Closing the factory stops them; the client stays open. */
export function createInformerFactory(
  client: Pick<Client, 'list' | 'watch'>,
  options: InformerFactoryOptions = {},
): InformerFactory {
  return new SharedInformerFactory({
    client,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    random: options.random ?? systemRandom,
  })
}

class SharedInformerFactory implements InformerFactory {
  readonly #deps: InformerDeps
  readonly #informers = new Map<string, SharedInformer<KubeObject>>()
  readonly #closing = new Set<Promise<void>>()

  constructor(deps: InformerDeps) {
    this.#deps = deps
  }

  informer<T extends KubeObject>(type: ResourceType<T>, select: SelectOptions = {}): Informer<T> {
    const key = informerKey(type, select)
    let informer = this.#informers.get(key)
    if (informer === undefined) {
      informer = new SharedInformer<KubeObject>(this.#deps, type, select)
      this.#informers.set(key, informer)
    }
    return informer as unknown as Informer<T> // the key names the type
  }

  release<T extends KubeObject>(type: ResourceType<T>, select: SelectOptions = {}): void {
    const key = informerKey(type, select)
    const informer = this.#informers.get(key)
    if (informer === undefined) return
    this.#informers.delete(key)
    const closing = informer.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  async whenSynced(signal?: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.whenSynced(signal)))
  }

  async close(): Promise<void> {
    const open = [...this.#informers.values()]
    this.#informers.clear()
    await Promise.all([...open.map((informer) => informer.close()), ...this.#closing])
  }
}

function informerKey(type: ResourceType<KubeObject>, select: SelectOptions): string {
  const { namespace = '', labelSelector = '', fieldSelector = '' } = select
  return JSON.stringify([type.group, type.version, type.resource, namespace, labelSelector, fieldSelector])
}
