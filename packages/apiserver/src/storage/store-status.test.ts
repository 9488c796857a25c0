import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { configmaps } from '@centaurus/api/core/v1'
import {
  CommitUnknownError,
  createMemoryStore,
  StoreFullError,
  StoreUnavailableError,
  TransactionTooLargeError,
  type Store,
} from '@centaurus/store'
import { startTestServer } from '../testing/test-server.ts'

const PATH = '/api/v1/namespaces/default/configmaps'

/** Refuses every commit with what `problem` gives, once there is something. */
function failing(store: Store, problem: () => Error | undefined): Store {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown
      if (typeof member !== 'function') return member
      if (name !== 'commit') return member.bind(target) as unknown
      return async (...args: Parameters<Store['commit']>) => {
        const error = problem()
        if (error !== undefined) throw error
        return target.commit(...args)
      }
    },
  })
}

describe('a store that fails', () => {
  it('is told to clients as what they may do next', async () => {
    let problem: Error | undefined
    const test = await startTestServer({ store: failing(createMemoryStore(), () => problem) })
    const answers: [Error, number, string][] = [
      [new StoreFullError('full'), 503, 'ServiceUnavailable'],
      [new StoreUnavailableError('away'), 503, 'ServiceUnavailable'],
      [new CommitUnknownError('lost'), 504, 'Timeout'], // it may have happened, as upstream means this reason
      [new TransactionTooLargeError('200 keys'), 413, 'RequestEntityTooLarge'],
      [new Error('bug'), 500, 'InternalError'],
    ]
    for (const [error, status, reason] of answers) {
      problem = error
      const body = { apiVersion: 'v1', kind: configmaps.kind, metadata: { name: 'a' } }
      const response = await test.request('POST', PATH, { body })
      assert.deepEqual([response.status, response.json().reason], [status, reason])
      // Clients repeat by themselves what has it, whatever it is.
      assert.equal(response.headers['retry-after'], undefined)
    }
    problem = undefined
    await test.close()
  })
})
