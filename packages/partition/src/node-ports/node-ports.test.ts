import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { isStatus, type Stored } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import { services, type Service } from '@centaurus/api/core/v1'
import { encodeStored } from '@centaurus/apiserver'
import { createSeededRandom, systemClock, type Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { settleReservations } from '../move/service-reservations.ts'
import { addPorts, BLOCK_PORTS, parseRanges, planBlock } from './model.ts'
import { expose, portOf, PortsWorld, tryExpose, type LostPart } from './testing/world.ts'

const WAIT_MS = 20_000

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + WAIT_MS
  while (!(await check())) {
    assert.ok(systemClock.monotonicMs() < deadlineMs, `waited ${WAIT_MS} ms for ${what}`)
    await systemClock.sleep(5)
  }
}

describe('node ports of a cluster of partitions', () => {
  let world: PortsWorld
  afterEach(() => world.close())

  async function open(...names: string[]): Promise<void> {
    world = new PortsWorld()
    for (const name of ['home', ...names]) await world.add(name)
  }
  const rangesOf = async (name: string) =>
    parseRanges((await world.home.client.get(partitions, { name })).spec.nodePorts)
  const firstOf = async (name: string): Promise<number> => (await rangesOf(name))[0]!.first

  it('are given out in blocks, so that no two Services have the same', async () => {
    await open('tp1', 'tp2')
    const count = BLOCK_PORTS + 6
    const made = await Promise.all(
      world.names.flatMap((name) =>
        Array.from({ length: count }, (_, i) => patiently(world.part(name).client, `s${i}`)),
      ),
    )
    assert.equal(new Set(made).size, 3 * count)
    for (const name of ['tp1', 'tp2']) {
      const asked = world.messages.filter((message) => message.startsWith(`${name} more`)).length
      assert.equal(asked, 2)
      const ports = (await rangesOf(name)).reduce((sum, { first, last }) => sum + last - first + 1, 0)
      assert.equal(ports, 2 * BLOCK_PORTS)
    }
  })

  it('are given out while home is away, from what a partition has', async () => {
    await open('tp1', 'tp2')
    await expose(world.part('tp1').client, 'first')
    world.cut('home')
    await expose(world.part('tp1').client, 'second')
    await assert.rejects(expose(world.part('tp2').client, 'none'), (error) => isStatus(error, 'ServiceUnavailable'))
    await assert.rejects(expose(world.part('tp1').client, 'free', 32_767), (error) =>
      isStatus(error, 'ServiceUnavailable'),
    )
    await world.mend('home')
    assert.equal(await expose(world.part('tp1').client, 'free', 32_767), 32_767)
  })

  it('can be named, whosever they are, as long as nobody uses them', async () => {
    await open('tp1', 'tp2')
    const { client } = world.part('tp1')
    await expose(client, 'first')
    await expose(world.part('tp2').client, 'first')
    const port = await firstOf('tp2')
    const isMine =
      portOf(await world.part('tp2').client.get(services, { namespace: 'default', name: 'first' })) === port
    const wanted = isMine ? port + 1 : port
    assert.equal(await expose(client, 'borrows', wanted), wanted)
    for (const name of ['tp2', 'home', 'tp1']) {
      await assert.rejects(expose(world.part(name).client, 'late', wanted), /provided port is already allocated/, name)
    }
    world.cut('tp2')
    await assert.rejects(expose(client, 'other', wanted + 1), (error) => isStatus(error, 'ServiceUnavailable'))
    await world.mend('tp2')
    assert.equal(await expose(client, 'other', wanted + 1), wanted + 1)
  })

  it('go back to where they were borrowed, in use no more', async () => {
    await open('tp1', 'tp2')
    await expose(world.part('tp2').client, 'first')
    const { client } = world.part('tp1')
    const used = portOf(await world.part('tp2').client.get(services, { namespace: 'default', name: 'first' }))
    const wanted = used === (await firstOf('tp2')) ? used + 1 : await firstOf('tp2')
    await expose(client, 'borrows', wanted)
    await expose(client, 'from-home', 32_767)
    world.keep('tp1')
    for (const name of ['borrows', 'from-home']) await client.delete(services, { namespace: 'default', name })
    const isFree = async (name: string, port: number): Promise<boolean> =>
      (await tryExpose(world.part(name).client, 'mine', port)) === port
    await until('the port of tp2 to be back', () => isFree('tp2', wanted))
    await until('the port of home to be back', () => isFree('home', 32_767))
  })

  it('change hands between home and a partition', async () => {
    await open('tp1')
    const { client } = world.part('tp1')
    const used = await expose(client, 'first')
    const wanted = used === (await firstOf('tp1')) ? used + 1 : await firstOf('tp1')
    assert.equal(await expose(world.home.client, 'home', wanted), wanted)
    await assert.rejects(expose(client, 'late', wanted), /already allocated/)
    await world.home.client.delete(services, { namespace: 'default', name: 'home' })
    assert.equal(await expose(client, 'late', wanted), wanted)
    await assert.rejects(expose(world.home.client, 'home', wanted), /already allocated/)
  })

  it('are not lost with a question or an answer', async () => {
    await open('tp1')
    const { client } = world.part('tp1')
    await expose(client, 'first')
    for (const part of ['question', 'answer'] as const) {
      world.lose = () => part
      await assert.rejects(expose(client, 'lost', 32_767), (error) => isStatus(error, 'ServiceUnavailable'))
      world.lose = () => undefined
    }
    assert.equal((await world.home.nodePorts.store.holder(32_767))?.value.partition, 'tp1')
    world.keep('tp1')
    await until('the port to be back', async () => (await world.home.nodePorts.store.holder(32_767)) === undefined)
  })

  it('of a partition that has left are free again, but for those that moved with a tenant', async () => {
    await open('tp1', 'tp2')
    const first = await expose(world.part('tp1').client, 'stays')
    const { store, server } = world.part('tp2')
    // as a move of its tenant leaves it there
    const moved: Stored<Service> = await world.part('tp1').client.get(services, { namespace: 'default', name: 'stays' })
    const key = '/registry/system/core/services/default/stays'
    await store.commit({ changes: [{ type: 'put', key, value: encodeStored(moved) }] })
    await settleReservations(store, 'system')
    await until('tp2 to know it', async () => (await server.client().list(services)).items.length === 2)
    const ranges = await rangesOf('tp1')
    const other = ranges[0]!.first === first ? first + 1 : ranges[0]!.first
    world.cut('tp2')
    await world.remove('tp1')
    for (const name of ['home', 'tp2']) world.keep(name)
    await assert.rejects(expose(world.home.client, 'other', other), (error) => !isStatus(error, 'NotFound'))
    await world.mend('tp2')
    await until('the port to be free', async () => (await tryExpose(world.home.client, 'other', other)) === other)
    await assert.rejects(expose(world.home.client, 'late', first), /already allocated/)
    await server.client().delete(services, { namespace: 'default', name: 'stays' })
    await until('the port to come home', async () => (await tryExpose(world.home.client, 'late', first)) === first)
  })

  for (const seed of Array.from({ length: Number(process.env['SEEDS'] ?? 3) }, (_, i) => i + 1)) {
    it(`are never two Services’, whatever gets lost (seed ${seed})`, async () => {
      await open('tp1', 'tp2')
      const random = createSeededRandom(seed)
      world.lose = () => pick<LostPart>(random, [undefined, undefined, undefined, 'question', 'answer'])
      for (const name of world.names) world.keep(name)
      /** Few, so that they are fought for: some of each block, and one of home's. */
      const wanted = [30_000, 30_001, 30_064, 30_065, 32_767]
      const run = async (name: string): Promise<void> => {
        const { client } = world.part(name)
        for (let i = 0; i < 40; i++) {
          const made = await tryExpose(client, `s${i}`, random.integer(4) === 0 ? undefined : pick(random, wanted))
          await checkPorts(world)
          if (made !== undefined && random.integer(3) > 0)
            await client.delete(services, { namespace: 'default', name: `s${i}` })
        }
      }
      await Promise.all(world.names.flatMap((name) => [run(name)]))
      world.lose = () => undefined
      await checkPorts(world)
    })
  }
})

/** As clients do: what is not to be had at the moment is tried again. */
async function patiently(client: Client, name: string): Promise<number> {
  for (;;) {
    try {
      return await expose(client, name)
    } catch (error) {
      if (!isStatus(error, 'ServiceUnavailable')) throw error
    }
  }
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.integer(values.length)]!
}

/** Looks for two Services that have the same port. */
async function checkPorts(world: PortsWorld): Promise<void> {
  const all = world.names.flatMap((name) =>
    world
      .part(name)
      .server.reader.list(services)
      .map((service) => ({ name, service, port: portOf(service) })),
  )
  const ports = all.map(({ port }) => port).filter((port) => port !== 0)
  const twice = all.filter(({ port }) => ports.indexOf(port) !== ports.lastIndexOf(port))
  if (twice.length === 0) return
  // caches are not all from the same moment: one that is gone meanwhile may have been gone then
  const there = await Promise.all(twice.map(({ name, service }) => isThere(world.part(name).client, service)))
  assert.deepEqual(
    twice.filter((_, i) => there[i]).map(({ name, port }) => `${name} ${port}`),
    [],
    `taken by ${JSON.stringify(await Promise.all(twice.map(({ port, name }) => world.part(name).nodePorts.store.holder(port))))}`,
  )
}

async function isThere(client: Client, { metadata }: Stored<Service>): Promise<boolean> {
  const { items } = await client.list(services)
  return items.some((item) => item.metadata.uid === metadata.uid)
}

describe('blocks of node ports', () => {
  it('are the emptiest ones, and what is free of them', () => {
    assert.deepEqual(
      planBlock(() => false),
      [],
    )
    const all = planBlock(() => true)
    assert.deepEqual([all.length, all[0]], [BLOCK_PORTS, 30_000])
    const second = planBlock((port) => port !== 30_005)
    assert.equal(second[0], 30_064)
    assert.deepEqual(
      planBlock((port) => port === 30_005 || port === 31_000 || port === 31_001),
      [31_000, 31_001],
    )
  })

  it('are written in few words, and read back', () => {
    assert.deepEqual(addPorts(['30000-30063'], [30_064, 30_066, 30_065, 31_000]), ['30000-30066', '31000-31000'])
    assert.deepEqual(parseRanges(['30000-30001', 'x', '30005-30002', '80-90', '30000']), [
      { first: 30_000, last: 30_001 },
    ])
    assert.deepEqual(parseRanges(undefined), [])
  })
})
