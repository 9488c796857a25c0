import { requestEntityTooLarge, serviceUnavailable, timeout, type StatusError } from '@centaurus/api'
import { CommitUnknownError, StoreFullError, StoreUnavailableError, TransactionTooLargeError } from '@centaurus/store'

/** What a client is told when the store refused or could not be reached; undefined for any other error. */
export function storeStatus(error: unknown): StatusError | undefined {
  if (error instanceof StoreFullError)
    return serviceUnavailable('the store has no room left; free some space and try again')
  if (error instanceof StoreUnavailableError)
    return serviceUnavailable('the store cannot be reached; nothing was changed, try again')
  if (error instanceof CommitUnknownError)
    return timeout('the store was lost in the middle of a write, which may have been made; look before you repeat it')
  if (error instanceof TransactionTooLargeError) return requestEntityTooLarge(error.message)
  return undefined
}
