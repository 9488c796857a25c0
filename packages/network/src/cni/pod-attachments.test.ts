import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { ADDRESS_REST_MS } from '../ipam/address-pool.ts'
import { deviceNameOf, macOf } from './attachment.ts'
import { parseCniCall, type CniCall } from './cni-request.ts'
import { Machine } from './testing/machine.ts'

const { signal } = new AbortController()

function call<C extends 'ADD' | 'DEL' | 'CHECK'>(
  command: C,
  containerId: string,
  { port = 0, name = `pod-${containerId}` } = {},
): Extract<CniCall, { command: C }> {
  const config = {
    cniVersion: '1.0.0',
    name: 'centaurus',
    runtimeConfig: { portMappings: port === 0 ? [] : [{ hostPort: port, containerPort: 80, protocol: 'tcp' }] },
  }
  const environment = {
    containerId,
    netns: `/run/netns/${containerId}`,
    ifname: 'eth0',
    args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name};K8S_POD_UID=u-${containerId}`,
  }
  return parseCniCall(command, environment, JSON.stringify(config)) as Extract<CniCall, { command: C }>
}

const A = { links: [deviceNameOf('a', 'eth0')], endpoints: ['7 10.244.3.2'], ports: ['tcp 8080'] }
const NOTHING = { links: [], endpoints: [], ports: [] }

describe('PodAttachments', () => {
  let dir: string
  let machine: Machine
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-cni-'))
    machine = new Machine(dir)
  })
  afterEach(() => rm(dir, { recursive: true }))

  /** Pod `a`, with a host port, by a daemon that lives. */
  async function addA(): Promise<void> {
    const { attachments } = await machine.boot()
    machine.sandboxes.add('a')
    machine.makeNamespace('a')
    await attachments.add(call('ADD', 'a', { port: 8080 }), signal)
    await attachments.close()
  }

  it('gives a pod device, address, ports and endpoint, and takes all of it away', async () => {
    const { attachments } = await machine.boot()
    machine.makeNamespace('a')
    const attached = await attachments.add(call('ADD', 'a', { port: 8080 }), signal)
    assert.deepEqual(machine.state, A)
    assert.equal(attached.phase, 'ready')
    assert.equal(attached.ip, '10.244.3.2')
    assert.equal(attached.mac, macOf('10.244.3.2'))
    assert.deepEqual(
      attachments.listHostPorts().map(({ target, hostPort }) => [target, hostPort]),
      [['10.244.3.2', 8080]],
    )
    await attachments.check(call('CHECK', 'a'))
    await attachments.delete(call('DEL', 'a'))
    await attachments.delete(call('DEL', 'a'))
    assert.deepEqual(machine.state, NOTHING)
    assert.deepEqual(attachments.list(), [])
  })

  it('deletes what it does not know of: a device and its endpoint whose file was lost', async () => {
    const { attachments } = await machine.boot()
    await addA() // by another one, after it looked
    machine.ports.clear()
    await attachments.delete(call('DEL', 'a'))
    assert.deepEqual(machine.state, NOTHING)
  })

  it('undoes an ADD whose caller went away or whose pod is unknown, and loses no address by it', async () => {
    await addA()
    const { attachments } = await machine.boot({ podCIDR: '10.244.3.0/29' })
    machine.makeNamespace('b')
    await assert.rejects(attachments.add(call('ADD', 'b'), AbortSignal.abort(new Error('gone'))), /gone/)
    await assert.rejects(attachments.add(call('ADD', 'b', { name: 'unknown' }), signal), { code: 'tryAgainLater' })
    assert.deepEqual(machine.state, A)
    for (const id of ['b', 'c', 'd', 'e']) {
      machine.makeNamespace(id)
      await attachments.add(call('ADD', id), signal)
    }
    assert.equal(machine.links.size, 5)
  })

  it('refuses a host port that leads to another pod, by its name', async () => {
    await addA()
    const { attachments } = await machine.boot()
    machine.makeNamespace('b')
    await assert.rejects(attachments.add(call('ADD', 'b', { port: 8080 }), signal), {
      code: 'portTaken',
      message: 'Host port tcp *:8080 leads to pod "default/pod-a" already',
    })
    assert.deepEqual(machine.state, A)
    const both = await Promise.allSettled(
      ['c', 'd'].map((id) => (machine.makeNamespace(id), attachments.add(call('ADD', id, { port: 9090 }), signal))),
    )
    assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  })

  it('runs the calls of one container one after the other', async () => {
    const { attachments } = await machine.boot()
    machine.makeNamespace('a')
    await Promise.all([
      attachments.add(call('ADD', 'a'), signal),
      attachments.delete(call('DEL', 'a')),
      attachments.add(call('ADD', 'a'), signal),
      attachments.add(call('ADD', 'a'), signal),
    ])
    assert.equal(machine.links.size, 1)
    assert.equal(attachments.list().length, 1)
  })

  it('says what is wrong with a pod’s network', async () => {
    await addA()
    const { attachments } = await machine.boot()
    machine.links.get(A.links[0]!)!.mtu = 1500
    machine.endpoints.clear()
    await assert.rejects(attachments.check(call('CHECK', 'a')), {
      code: 'notAsItShouldBe',
      message:
        /MTU of "cen[0-9a-f]{12}" on the host is 1500 and should be 1442; .*; the data plane does not know 10\.244\.3\.2$/,
    })
    await assert.rejects(attachments.check(call('CHECK', 'b')), { code: 'unknownContainer' })
  })

  it('collects what the runtime does not name', async () => {
    await addA()
    const { attachments } = await machine.boot()
    machine.makeNamespace('b')
    await attachments.add(call('ADD', 'b'), signal)
    const config = {
      cniVersion: '1.1.0',
      name: 'centaurus',
      'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }],
    }
    const none = { containerId: undefined, netns: undefined, ifname: undefined, args: undefined }
    await attachments.collect(parseCniCall('GC', none, JSON.stringify(config)) as Extract<CniCall, { command: 'GC' }>)
    assert.deepEqual(machine.state, A)
  })

  it('finds pods that went without a word, and neither those that are there nor those that are being made', async () => {
    await addA()
    const { attachments } = await machine.boot()
    for (const id of ['b', 'c']) {
      machine.makeNamespace(id)
      await attachments.add(call('ADD', id), signal)
    }
    machine.removeNamespace('b')
    await attachments.sweep()
    assert.deepEqual(
      attachments.list().map(({ containerId }) => containerId),
      ['a', 'c'],
    )
    await machine.clock.advance(601_000) // the sweep runs by itself; `c` is not among the runtime's sandboxes after ten minutes
    await attachments.sweep()
    assert.deepEqual(
      attachments.list().map(({ containerId }) => containerId),
      ['a'],
    )
    assert.deepEqual(machine.state, A)
  })

  it('keeps an address that was released just before a restart from others', async () => {
    await addA()
    const before = await machine.boot({ podCIDR: '10.244.3.0/29' })
    await before.attachments.delete(call('DEL', 'a'))
    const { attachments } = await machine.boot({ podCIDR: '10.244.3.0/29' })
    const addresses: string[] = []
    for (const id of ['b', 'c', 'd', 'e']) {
      machine.makeNamespace(id)
      addresses.push((await attachments.add(call('ADD', id), signal)).ip)
    }
    assert.deepEqual(addresses, ['10.244.3.3', '10.244.3.4', '10.244.3.5', '10.244.3.6'])
    machine.makeNamespace('f')
    await assert.rejects(attachments.add(call('ADD', 'f'), signal), { code: 'noAddress' })
    await machine.clock.advance(ADDRESS_REST_MS)
    assert.equal((await attachments.add(call('ADD', 'f'), signal)).ip, '10.244.3.2')
  })

  for (const moment of ['before', 'after'] as const) {
    it(`leaves nothing when it is killed ${moment} any step of an ADD`, async () => {
      await addA()
      for (let killAt = 0, isDone = false; !isDone; killAt++) {
        const first = await machine.boot({ killAt, moment })
        machine.makeNamespace('b')
        await first.attachments.add(call('ADD', 'b', { port: 9090 }), signal).catch(() => {})
        isDone = !first.isDead()
        const { attachments } = await machine.boot()
        const b = attachments.list().find(({ containerId }) => containerId === 'b')
        if (b === undefined) assert.deepEqual(machine.state, A, `killed at ${killAt}`)
        else await attachments.check(call('CHECK', 'b'))
        // then the runtime says so, or its namespace is all that tells
        if (killAt % 2 === 0) await attachments.delete(call('DEL', 'b'))
        machine.removeNamespace('b')
        await attachments.sweep()
        assert.deepEqual(machine.state, A, `killed at ${killAt}`)
        assert.deepEqual(
          attachments.list().map(({ containerId }) => containerId),
          ['a'],
        )
        await machine.clock.advance(ADDRESS_REST_MS)
      }
    })

    it(`leaves nothing when it is killed ${moment} any step of a DEL`, async () => {
      await addA()
      for (let killAt = 0, isDone = false; !isDone; killAt++) {
        const start = await machine.boot()
        machine.makeNamespace('b')
        await start.attachments.add(call('ADD', 'b', { port: 9090 }), signal)
        const first = await machine.boot({ killAt, moment })
        await first.attachments.delete(call('DEL', 'b')).catch(() => {})
        isDone = !first.isDead()
        const { attachments } = await machine.boot()
        if (killAt % 2 === 0) await attachments.delete(call('DEL', 'b'))
        machine.removeNamespace('b')
        await attachments.sweep()
        assert.deepEqual(machine.state, A, `killed at ${killAt}`)
        await machine.clock.advance(ADDRESS_REST_MS)
      }
    })
  }

  it('never gives an address twice, and leaves nothing at the end, whatever is killed when', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = createSeededRandom(seed)
      const alive = new Set<string>()
      /** Whose DEL failed, and will be said again. */
      const ending = new Set<string>()
      let daemon = await machine.boot({ killAt: 5 + random.integer(40), moment: 'after' })
      for (let round = 0; round < 60; round++) {
        if (daemon.isDead())
          daemon = await machine.boot({
            killAt: 5 + random.integer(60),
            moment: random.next() < 0.5 ? 'before' : 'after',
          })
        const { attachments } = daemon
        const id = `${seed}-${random.integer(12)}`
        if (alive.has(id) || ending.has(id)) {
          const isDeleted = await attachments.delete(call('DEL', id)).then(
            () => true,
            () => false,
          )
          alive.delete(id)
          ending.delete(id)
          if (isDeleted || random.next() < 0.5) machine.removeNamespace(id)
          else ending.add(id)
        } else {
          machine.makeNamespace(id)
          const isAdded = await attachments.add(call('ADD', id), signal).then(
            () => true,
            () => false,
          )
          if (isAdded) alive.add(id)
          else machine.removeNamespace(id)
        }
        if (random.next() < 0.1) await machine.clock.advance(30_000)
        const addresses = [...machine.links.values()].map(({ ip }) => ip)
        assert.equal(new Set(addresses).size, addresses.length, `seed ${seed}, round ${round}: ${addresses.join()}`)
        for (const one of alive)
          assert.ok(machine.links.has(deviceNameOf(one, 'eth0')), `seed ${seed}: ${one} lost its network`)
      }
      for (const id of [...alive, ...ending]) machine.removeNamespace(id)
      const { attachments } = await machine.boot()
      await attachments.sweep()
      assert.deepEqual(machine.state, NOTHING, `seed ${seed}`)
      assert.deepEqual(attachments.list(), [])
      await machine.clock.advance(ADDRESS_REST_MS)
    }
  })
})
