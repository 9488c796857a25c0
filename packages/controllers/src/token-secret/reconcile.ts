import { isStatus, objectKey, type Stored } from '@centaurus/api'
import { secrets, serviceaccounts, type Secret, type ServiceAccount } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { nameOf } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'

const TOKEN_TYPE = 'kubernetes.io/service-account-token'
const ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name'
const UID_ANNOTATION = 'kubernetes.io/service-account.uid'
const ACCOUNT_INDEX = 'token-account'

export interface TokenSecretDeps extends ControllerDeps {
  /** The Secret with its token, certificate authority and namespace filled in; undefined when it lacks nothing. */
  readonly fillTokenSecret: (secret: Stored<Secret>, account: Stored<ServiceAccount>) => Secret | undefined
}

/** Fills Secrets in which users ask for a long-lived token, and removes them with their account. Source: tokens_controller.go v1.37. */
export function startTokenSecretController(deps: TokenSecretDeps): RunningController {
  const cache = deps.informers.informer(secrets)
  const accounts = deps.informers.informer(serviceaccounts)
  cache.addIndex(ACCOUNT_INDEX, accountIndexValues)
  return startReconciler(deps, {
    name: 'serviceaccount-token-controller',
    informer: cache,
    needs: [accounts],
    watch({ queue }) {
      const add = (secret: Stored<Secret>): void => {
        if (secret.type === TOKEN_TYPE) queue.add(objectKey(secret))
      }
      const addAll = (account: Stored<ServiceAccount>): void => {
        for (const secret of cache.byIndex(ACCOUNT_INDEX, objectKey(account))) add(secret)
      }
      return [cache.addHandler({ onAdd: add, onUpdate: add }), accounts.addHandler({ onAdd: addAll, onDelete: addAll })]
    },
    async reconcile(key, { client }) {
      const secret = cache.get(key)
      const name = secret?.metadata.annotations?.[ACCOUNT_ANNOTATION]
      if (secret === undefined || name === undefined || secret.metadata.deletionTimestamp !== undefined) return
      const account = await client
        .get(serviceaccounts, { namespace: secret.metadata.namespace, name })
        .catch((error: unknown) => {
          if (isStatus(error, 'NotFound')) return undefined
          throw error
        })
      const wantedUid = secret.metadata.annotations?.[UID_ANNOTATION]
      if (
        account === undefined ||
        (wantedUid !== undefined && wantedUid !== '' && wantedUid !== account.metadata.uid)
      ) {
        const { uid, resourceVersion } = secret.metadata
        await client
          .delete(secrets, nameOf(secret), { preconditions: { uid, resourceVersion } })
          .catch((error: unknown) => {
            if (!isStatus(error, 'NotFound')) throw error
          })
        return
      }
      const filled = deps.fillTokenSecret(secret, account)
      if (filled !== undefined) await client.update(secrets, filled)
    },
  })
}

function accountIndexValues({ type, metadata }: Secret): readonly string[] {
  const name = metadata.annotations?.[ACCOUNT_ANNOTATION]
  return type === TOKEN_TYPE && name !== undefined ? [`${metadata.namespace}/${name}`] : []
}
