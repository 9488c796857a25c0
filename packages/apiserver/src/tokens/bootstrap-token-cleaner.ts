import { isStatus, ORIGIN_ANNOTATION } from '@centaurus/api'
import { secrets } from '@centaurus/api/core/v1'
import type { Timer } from '@centaurus/base'
import type { ApiServerCore } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import { BOOTSTRAP_TOKENS_NAMESPACE, hasExpired } from './bootstrap-token.ts'

/** They are good for nothing meanwhile. */
export const CLEAN_INTERVAL_MS = 10 * 60_000

/**
 * Deletes the Secrets of bootstrap tokens that have expired. Each API server does; who is second finds nothing. Not a controller, since these see the
 * tenants' objects alone, and the `system` tenant of a partition that is not home is its own.
 * Source: pkg/controller/bootstrap/tokencleaner.go (v1.37; outcome).
 */
export class BootstrapTokenCleaner {
  readonly #core: ApiServerCore
  #timer: Timer | undefined
  #closed = false

  constructor(core: ApiServerCore) {
    this.#core = core
    this.#arm()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #arm(): void {
    this.#timer = this.#core.clock.setTimer(CLEAN_INTERVAL_MS, () => {
      void this.#clean().finally(() => this.#closed || this.#arm())
    })
  }

  /** Never rejects. */
  async #clean(): Promise<void> {
    const { reader, client, clock, logger } = this.#core
    for (const secret of reader.list(secrets, BOOTSTRAP_TOKENS_NAMESPACE, { tenant: SYSTEM_TENANT })) {
      const isCopy = secret.metadata.annotations?.[ORIGIN_ANNOTATION] !== undefined
      if (isCopy || !hasExpired(secret, clock.now())) continue
      const { namespace, name, uid } = secret.metadata
      try {
        await client.delete(secrets, { namespace, name }, { preconditions: { uid } })
      } catch (error) {
        if (isStatus(error, 'NotFound') || isStatus(error, 'Conflict')) continue
        logger.warn('Could not delete an expired bootstrap token, will retry', {
          secret: `${namespace}/${name}`,
          error,
        })
      }
    }
  }
}
