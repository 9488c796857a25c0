import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { whyNoRoot } from './lib/cluster.ts'
import { run } from './lib/processes.ts'
import { createTestNetwork, type TestHost, type TestNetwork } from './lib/test-hosts.ts'

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

  it('says which hosts there are', () => {
    assert.throws(() => network.host('d'), /there are: a, b, c/)
  })
})
