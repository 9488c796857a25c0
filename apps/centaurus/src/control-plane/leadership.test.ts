import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createApiServer } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { controllerNames } from '@centaurus/controllers'
import { createMemoryStore } from '@centaurus/store'
import { lead, type Closable } from './leadership.ts'
import { controllersOf } from './parts.ts'

const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }

describe('the servers of one partition', () => {
  it('run its parts one at a time, and the next goes on when one ends', async () => {
    const store = createMemoryStore()
    const server = createApiServer({ store, ...deps })
    await server.start()
    const running = new Set<string>()
    const events: string[] = []
    let changed = Promise.withResolvers<void>()
    const note = (event: string): void => {
      events.push(event)
      changed.resolve()
      changed = Promise.withResolvers()
    }
    const candidate = (name: string): Promise<Closable> =>
      lead({
        ...deps,
        serverName: name,
        client: server.client(),
        async start() {
          assert.equal(running.size, 0, 'two at a time')
          running.add(name)
          note(`${name} leads`)
          return {
            async close() {
              running.delete(name)
              note(`${name} stops`)
            },
          }
        },
      })
    const until = async (event: string): Promise<void> => {
      while (!events.includes(event)) await changed.promise
    }
    const first = await candidate('a')
    await until('a leads')
    const second = await candidate('b')
    await first.close()
    await until('b leads')
    await second.close()
    assert.deepEqual(events, ['a leads', 'a stops', 'b leads', 'b stops'])
    await server.close()
    await store.close()
  })

  it('need no lease when there is but one', async () => {
    const store = createMemoryStore()
    const server = createApiServer({ store, ...deps })
    let started = false
    const alone = await lead({
      ...deps,
      serverName: undefined,
      client: server.client(),
      start: async () => {
        started = true
        return { close: async () => {} }
      },
    })
    assert.ok(started)
    await alone.close()
    await store.close()
  })
})

describe('a server that finds that it was deposed', () => {
  it('stops its parts before it begins again, and tries until it can', async () => {
    const store = createMemoryStore()
    const server = createApiServer({ store, ...deps })
    const events: string[] = []
    let resignFirst: () => void = () => assert.fail('nothing was started')
    const beganAgain = Promise.withResolvers<void>()
    const alone = await lead({
      ...deps,
      serverName: undefined,
      client: server.client(),
      async start(resign) {
        const round = events.filter((event) => event.startsWith('try')).length + 1
        events.push(`try ${round}`)
        if (round === 2) throw new Error('the store is away')
        if (round === 1) resignFirst = resign
        else beganAgain.resolve()
        return { close: async () => void events.push(`stop ${round}`) }
      },
    })
    resignFirst()
    await beganAgain.promise
    await alone.close()
    assert.deepEqual(events, ['try 1', 'stop 1', 'try 2', 'try 3', 'stop 3'])
    await store.close()
  })
})

describe('the controllers of a partition', () => {
  it('are those of its roles, and all of them when it has both', () => {
    const tenant = controllersOf('Tenant')
    const resource = controllersOf('Resource')
    assert.ok(tenant.includes('pod-garbage-collector-controller') && !resource.includes('garbage-collector-controller'))
    assert.ok(resource.includes('node-lifecycle-controller') && !tenant.includes('node-lifecycle-controller'))
    assert.deepEqual([...tenant, ...resource].toSorted(), controllerNames.toSorted())
  })
})
