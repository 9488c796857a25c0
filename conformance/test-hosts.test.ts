import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { whyNoRoot } from './lib/cluster.ts'
import { mustRun, run, start } from './lib/processes.ts'
import { createTestNetwork, type TestHost, type TestNetwork } from './lib/test-hosts.ts'

const PORT = 7000
const BROADCAST = '198.51.100.255'

describe('a network of test hosts', { skip: whyNoRoot() }, () => {
  let network: TestNetwork
  before(async () => {
    network = await createTestNetwork('hosts', ['a', 'b', 'c'])
  })
  after(() => network.remove())

  /** Whether a connection from one host to another is at least refused, which takes packets both ways. */
  async function reaches(from: TestHost, to: TestHost): Promise<boolean> {
    const script = `
      const socket = require('node:net').connect({ host: ${JSON.stringify(to.address)}, port: 1, timeout: 500 })
      socket.on('error', (error) => process.exit(error.code === 'ECONNREFUSED' ? 0 : 1))
      socket.on('timeout', () => process.exit(1))`
    return (await run([...from.enter, process.execPath, '-e', script])).code === 0
  }

  /** Sends a datagram to all hosts: that needs no answer of anybody, not even to find an address. */
  async function shout(from: TestHost, message: string): Promise<void> {
    const script = `
      const socket = require('node:dgram').createSocket('udp4')
      socket.bind(0, () => {
        socket.setBroadcast(true)
        socket.send(${JSON.stringify(message)}, ${PORT}, ${JSON.stringify(BROADCAST)}, () => socket.close())
      })`
    await mustRun([...from.enter, process.execPath, '-e', script])
  }

  /** The datagrams that arrive at a host, in turn. */
  async function listenOn(host: TestHost): Promise<{ next(): Promise<string>; close(): void }> {
    const script = `
      const socket = require('node:dgram').createSocket('udp4')
      socket.on('message', (message) => console.log(String(message)))
      socket.bind(${PORT}, () => console.log('listening'))`
    const child = start([...host.enter, process.execPath, '-e', script])
    const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
    const next = async (): Promise<string> => String((await lines.next()).value)
    assert.equal(await next(), 'listening')
    return { next, close: () => void child.kill() }
  }

  it('connects each with each, until a cable is pulled', async () => {
    const [a, b, c] = [network.host('a'), network.host('b'), network.host('c')]
    assert.ok(await reaches(a, b))
    await b.cut()
    assert.ok(!(await reaches(a, b)))
    assert.ok(!(await reaches(b, c)))
    assert.ok(await reaches(a, c))
    await b.heal()
    assert.ok(await reaches(a, b))
  })

  it('drops what is sent one way alone, and passes the way back', async () => {
    const [a, b, c] = [network.host('a'), network.host('b'), network.host('c')]
    const heard = await listenOn(b)
    try {
      await network.block([{ from: 'b', to: 'a' }])
      assert.ok(!(await reaches(a, b)))
      await shout(a, 'the way back is blocked')
      assert.equal(await heard.next(), 'the way back is blocked')
      assert.ok(await reaches(c, b))
      await network.unblock([{ from: 'b', to: 'a' }])
      assert.ok(await reaches(a, b))
      await network.block([{ from: 'a', to: 'b' }])
      await shout(a, 'the way there is blocked')
      await shout(c, 'from another')
      assert.equal(await heard.next(), 'from another')
      await network.unblock([{ from: 'a', to: 'b' }])
    } finally {
      heard.close()
    }
  })

  it('slows a link down', async () => {
    const b = network.host('b')
    await b.slowDown(512)
    await b.slowDown(256)
    assert.ok(await reaches(network.host('a'), b))
    await b.speedUp()
  })

  it('says which hosts there are', () => {
    assert.throws(() => network.host('d'), /there are: a, b, c/)
  })
})
