import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { events, nodes } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger, type ManualClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startNodeIpam } from './reconcile.ts'
import type { CidrHolder, NodeCidrSource } from './source.ts'

/** A ledger that outlives the controllers that write to it, and blocks as the test says. */
class Source {
  readonly written = new Map<string, CidrHolder>()
  readonly blocks: string[] = []
  /** Blocks that the cluster has left. */
  readonly more: string[] = []
  /** A block was got, and does not show yet. */
  isSlow = false
  readonly #listeners = new Set<() => void>()
  /** Before a range is written. */
  onPut: (cidr: string) => void = () => {}

  /** What one process sees of it. */
  open(): NodeCidrSource {
    const read = new Map<string, CidrHolder | undefined>()
    return {
      ledger: {
        load: async () => {
          for (const [cidr, holder] of this.written) read.set(cidr, holder)
          return new Map(this.written)
        },
        put: async (cidr, holder) => {
          this.onPut(cidr)
          if (this.written.get(cidr) !== read.get(cidr)) return false
          this.written.set(cidr, holder)
          read.set(cidr, holder)
          return true
        },
        remove: async (cidr) => {
          this.written.delete(cidr)
          read.delete(cidr)
        },
      },
      blocks: () => this.blocks,
      nodePrefix: () => 24,
      grow: async () => {
        if (this.isSlow) return true
        const block = this.more.shift()
        if (block !== undefined) this.addBlock(block)
        return block !== undefined
      },
      onChange: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
    }
  }

  addBlock(block: string): void {
    this.blocks.push(block)
    for (const listener of this.#listeners) listener()
  }
}

describe('node-ipam on a real API server', () => {
  let source: Source
  let clock: ManualClock
  let plane: ControlPlane
  const start = async (): Promise<void> => {
    plane = await startControlPlane({
      controllers: [(deps) => startNodeIpam({ ...deps, clock, nodeCidrs: source.open() })],
    })
  }
  beforeEach(() => {
    source = new Source()
    clock = createManualClock()
  })
  afterEach(() => plane.close())

  const cidrOf = (name: string): Promise<string> =>
    plane.eventually(async () => (await plane.client.get(nodes, { name })).spec?.podCIDR)
  const create = (name: string, podCIDR?: string) =>
    plane.client.create(nodes, { metadata: { name }, ...(podCIDR === undefined ? {} : { spec: { podCIDR } }) })

  it('gives each node a range of its own, in both fields, after it is written down', async () => {
    source.more.push('10.244.0.0/16')
    await start()
    const node = await create('n1')
    assert.equal(await cidrOf('n1'), '10.244.0.0/24')
    assert.deepEqual((await plane.client.get(nodes, { name: 'n1' })).spec?.podCIDRs, ['10.244.0.0/24'])
    assert.deepEqual([...source.written], [['10.244.0.0/24', { node: 'n1', uid: node.metadata.uid }]])
    await create('n2')
    assert.equal(await cidrOf('n2'), '10.244.1.0/24')
  })

  it('gives a node after a crash what was meant for it', async () => {
    source.addBlock('10.244.0.0/16')
    plane = await startControlPlane({ controllers: [] })
    const { client, informers } = plane
    const deps = { informers, clock, logger: silentLogger, random: createSeededRandom(1) }
    const first = startNodeIpam({ ...deps, client: withoutPatch(client), nodeCidrs: source.open() })
    await create('n1')
    await create('n2')
    await plane.eventually(async () => source.written.size === 2)
    await first.close()
    const meant = new Map([...source.written].map(([cidr, { node }]) => [node, cidr]))
    const second = startNodeIpam({ ...deps, client, nodeCidrs: source.open() })
    for (const [name, cidr] of meant) assert.equal(await cidrOf(name), cidr)
    assert.equal(source.written.size, 2)
    await second.close()
  })

  it('keeps the range of a node that is gone from others for a while', async () => {
    source.addBlock('10.244.0.0/24')
    await start()
    await create('n1')
    await cidrOf('n1')
    await plane.client.delete(nodes, { name: 'n1' })
    await plane.eventually(async () => source.written.get('10.244.0.0/24')?.releasedAtMs)
    await create('n2')
    await plane.eventually(async () =>
      (await plane.client.list(events)).items.some(({ reason }) => reason === 'CIDRNotAvailable'),
    )
    await clock.advance(600_000)
    await plane.eventually(async () => {
      await clock.advance(30_000) // the node that waits is looked at again
      return (await plane.client.get(nodes, { name: 'n2' })).spec?.podCIDR === '10.244.0.0/24'
    })
  })

  it('says that none is left, and that one was found when there are more', async () => {
    await start()
    await create('n1')
    const condition = async () =>
      (await plane.client.get(nodes, { name: 'n1' })).status?.conditions?.find(({ type }) => type === 'PodCIDRAssigned')
    await plane.eventually(async () => (await condition())?.status === 'False')
    assert.match(
      (await condition())?.message ?? '',
      /No range of addresses is left for the pods of node n1: give the cluster more/,
    )
    source.addBlock('10.250.0.0/16')
    assert.equal(await cidrOf('n1'), '10.250.0.0/24')
    await plane.eventually(async () => (await condition())?.status === 'True')
  })

  it('complains of nothing while a block is on its way', async () => {
    source.isSlow = true
    await start()
    await create('n1')
    await plane.eventually(async () => plane.informers.informer(nodes).list().length === 1)
    source.addBlock('10.250.0.0/16')
    assert.equal(await cidrOf('n1'), '10.250.0.0/24')
    assert.deepEqual((await plane.client.list(events)).items, [])
    assert.equal((await plane.client.get(nodes, { name: 'n1' })).status?.conditions, undefined)
  })

  it('respects what others gave, and says when two nodes have the same', async () => {
    source.addBlock('10.244.0.0/22')
    await start()
    await create('foreign', '10.244.0.0/23')
    await create('elsewhere', '172.16.0.0/24')
    await plane.eventually(async () => source.written.has('10.244.0.0/23'))
    await create('ours')
    assert.equal(await cidrOf('ours'), '10.244.2.0/24')
    await create('double', '10.244.2.0/24')
    const event = await plane.eventually(async () =>
      (await plane.client.list(events)).items.find(({ reason }) => reason === 'CIDRConflict'),
    )
    assert.equal(event.involvedObject.name, 'double')
    assert.match(event.message ?? '', /10\.244\.2\.0\/24 is also that of node ours/)
    assert.equal(source.written.size, 2)
  })

  it('gives nothing that another process has given meanwhile', async () => {
    source.addBlock('10.244.0.0/16')
    await start()
    source.onPut = (cidr) => {
      source.onPut = () => {}
      source.written.set(cidr, { node: 'theirs', uid: 'theirs' })
    }
    await create('n1')
    assert.equal(await cidrOf('n1'), '10.244.1.0/24')
    assert.equal(source.written.get('10.244.0.0/24')?.node, 'theirs')
  })

  it('lets ranges of nodes that went while nobody looked rest, too', async () => {
    source.addBlock('10.244.0.0/16')
    source.written.set('10.244.0.0/24', { node: 'gone', uid: 'gone' })
    await start()
    await create('n1')
    assert.equal(await cidrOf('n1'), '10.244.1.0/24')
    await plane.eventually(async () => source.written.get('10.244.0.0/24')?.releasedAtMs)
    await clock.advance(600_000)
    await plane.eventually(async () => !source.written.has('10.244.0.0/24'))
  })
})

/** Of a process that is killed before it patches anything. */
function withoutPatch(client: Client): Client {
  return new Proxy(client, {
    get(target, key) {
      if (key === 'patch') return () => Promise.reject(new Error('killed'))
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
