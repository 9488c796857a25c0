import type { Logger } from '@centaurus/base'

import type { PluginDevice, PluginOptions } from './protocol/messages.ts'
import { openPluginClient, type PluginClient } from './protocol/plugin-client.ts'
import type { Registration } from './registration-server.ts'

export interface PluginConnectionsOptions {
  readonly logger: Logger
  readonly onConnected: (resource: string) => void
  readonly onDevices: (resource: string, devices: readonly PluginDevice[]) => void
  /** The last plugin of the resource went. */
  readonly onLost: (resource: string) => void
}

interface Connection {
  readonly client: PluginClient
  readonly options: PluginOptions
}

/**
 * Plugins that are here. Of several of one resource, such as during an update, the one that registered last is asked; when it goes, one of the others.
 * Source: kubelet devicemanager endpointStore, v1.37; a plugin that registers a second time on its socket replaces itself.
 */
export class PluginConnections {
  readonly #options: PluginConnectionsOptions
  /** By resource, then by socket; the last one counts. */
  readonly #connections = new Map<string, Map<string, Connection>>()
  /** Of the plugin that was here last. */
  readonly #lastOptions = new Map<string, PluginOptions>()
  #closed = false

  constructor(options: PluginConnectionsOptions) {
    this.#options = options
  }

  /** Connects, and follows the plugin's devices until it goes. Rejects when it does not answer. */
  async open({ resource, socketPath }: Registration): Promise<void> {
    const client = openPluginClient(socketPath)
    let options: PluginOptions
    try {
      await client.connect()
      options = await client.options().catch((cause: unknown) => {
        throw new Error(`failed to get device plugin options: ${(cause as Error).message}`, { cause })
      })
    } catch (error) {
      client.close()
      throw error
    }
    if (this.#closed) return client.close()
    const ofResource = this.#connections.get(resource) ?? new Map<string, Connection>()
    this.#connections.set(resource, ofResource)
    const before = ofResource.get(socketPath)
    const connection = { client, options }
    ofResource.delete(socketPath)
    ofResource.set(socketPath, connection)
    before?.client.close()
    this.#lastOptions.set(resource, options)
    this.#options.onConnected(resource)
    this.#options.logger.info('Connected device plugin', { resource, socket: socketPath })
    void this.#follow({ resource, socketPath }, connection)
  }

  /** Undefined: no plugin of the resource is here. */
  clientOf(resource: string): PluginClient | undefined {
    return [...(this.#connections.get(resource)?.values() ?? [])].at(-1)?.client
  }

  /** Whether the plugin, the last one if it is away, must be told before each start of a container. */
  isPreStartRequired(resource: string): boolean {
    return this.#lastOptions.get(resource)?.preStartRequired === true
  }

  hasPreference(resource: string): boolean {
    return this.#lastOptions.get(resource)?.getPreferredAllocationAvailable === true
  }

  close(): void {
    this.#closed = true
    for (const ofResource of this.#connections.values()) for (const { client } of ofResource.values()) client.close()
    this.#connections.clear()
  }

  async #follow({ resource, socketPath }: Registration, connection: Connection): Promise<void> {
    const isCurrent = (): boolean => this.#connections.get(resource)?.get(socketPath) === connection
    const reason = await connection.client.watch((devices) => {
      if (isCurrent()) this.#options.onDevices(resource, devices)
    })
    connection.client.close()
    const ofResource = this.#connections.get(resource)
    if (!isCurrent() || ofResource === undefined) return // replaced, or all is closing
    ofResource.delete(socketPath)
    this.#options.logger.warn('Lost device plugin', { resource, socket: socketPath, reason })
    if (ofResource.size > 0) return
    this.#connections.delete(resource)
    this.#options.onLost(resource)
  }
}
