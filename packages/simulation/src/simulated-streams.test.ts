import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'

import type { StreamRequest } from '@centaurus/node'
import { dialPortForward, dialRemoteCommand } from '@centaurus/streams'

import { simulateStream } from './simulated-streams.ts'

describe('streams of a simulated container', () => {
  let server: Server
  let request: StreamRequest
  const ended = Promise.withResolvers<number>()
  const subject = { name: 'web', environment: new Map([['A', '1']]), log: 'simulated\n', ended: ended.promise }
  before(async () => {
    server = createServer()
    server.on('upgrade', (incoming, socket, head) => {
      const target = simulateStream(request, subject)
      if (target.kind === 'serve') target.serve({ request: incoming, socket, head }).catch(() => socket.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  after(() => new Promise((resolve) => server.close(resolve)))

  const url = (): URL => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const streams = { stdin: true, stdout: true, stderr: true, tty: false }

  it('run a command with its output and exit code', async () => {
    request = { kind: 'exec', containerId: 'c', command: ['sh', '-c', 'echo $A; nginx; exit 5'], ...streams }
    const client = await dialRemoteCommand({ url: url() }, streams)
    client.stdin?.end()
    const [stdout, stderr, status] = await Promise.all([text(client.stdout!), text(client.stderr!), client.status])
    assert.equal(stdout, '1\n')
    assert.match(stderr, /nginx: not found: this container is simulated/)
    assert.equal(status.details?.causes?.[0]?.message, '5')
  })

  it('hold a conversation on a terminal', async () => {
    const terminal = { ...streams, stderr: false, tty: true }
    request = { kind: 'exec', containerId: 'c', command: ['sh'], ...terminal }
    const client = await dialRemoteCommand({ url: url() }, terminal)
    client.stdin?.write('echo hi $A\rexit 2\r')
    const [stdout, status] = await Promise.all([text(client.stdout!), client.status])
    assert.match(stdout, /simulated[^]*\$ echo hi \$A\r\nhi 1\r\n\$ exit 2\r\n/)
    assert.equal(status.details?.causes?.[0]?.message, '2')
  })

  it('show the log until the container ends', async () => {
    request = { kind: 'attach', containerId: 'c', ...streams }
    const client = await dialRemoteCommand({ url: url() }, streams)
    ended.resolve(0)
    assert.equal(await text(client.stdout!), 'simulated\n')
    assert.equal((await client.status).status, 'Success')
  })

  it('answer on a forwarded port', async () => {
    request = { kind: 'portForward', sandboxId: 's', ports: [80] }
    const client = await dialPortForward({ url: url() })
    const { data } = client.connect(80)
    data.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await text(data), /^HTTP\/1\.1 200 OK[^]*Pod web is simulated: nothing listens on port 80\n$/)
    client.close()
  })
})
