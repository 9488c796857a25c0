import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { Agent, request as requestHttps, type RequestOptions } from 'node:https'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { serviceaccounts } from '@centaurus/api/core/v1'
import { openClusterCertificates } from '@centaurus/apiserver'
import type { Gateway } from './gateway.ts'
import { connectFront } from './testing/front-client.ts'
import { adminOf, eventually, OPERATOR, startWorld, type World } from './testing/world.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const SELF_REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const SELF = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

describe('the front of the gateway', () => {
  let world: World
  let gateway: Gateway
  let tls: { ca: string; cert: string; key: string }
  before(async () => {
    world = await startWorld()
    await world.addTenant('acme', 'tp1')
    gateway = await world.gateway()
    const { certificatePem: cert, keyPem: key } = await world.certificates.client('acme', adminOf('acme'))
    tls = { ca: world.certificates.authority.certificatePem, cert, key }
  })
  after(() => world.close())

  /** Over HTTP/1.1. */
  const send = (path: string, options: RequestOptions = {}, body: readonly (string | Buffer)[] = []): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = requestHttps(`https://127.0.0.1:${gateway.port}${path}`, { agent: false, ...tls, ...options })
      asked.on('error', reject)
      asked.on('response', (response) => {
        const { statusCode: status = 0, headers } = response
        text(response).then((body) => resolve({ status, headers, body }), reject)
      })
      for (const part of body) asked.write(part)
      asked.end()
    })

  const object = (name: string, value = 'x'): string =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } })
  const json = { 'content-type': 'application/json' }

  it('speaks HTTP/1.1, with bodies of known and of unknown length, on one connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...tls })
    const known = { ...json, 'content-length': String(object('h1-known').length) }
    const first = await send(CONFIG_MAPS, { method: 'POST', headers: known, agent }, [object('h1-known')])
    assert.equal(first.status, 201, first.body)
    const whole = object('h1-chunked', 'y'.repeat(300_000))
    const parts = [whole.slice(0, 10), whole.slice(10, 100_000), whole.slice(100_000)]
    assert.equal((await send(CONFIG_MAPS, { method: 'POST', headers: json, agent }, parts)).status, 201)
    const read = await send(`${CONFIG_MAPS}/h1-chunked`, { agent })
    assert.equal((JSON.parse(read.body) as { data: { value: string } }).data.value.length, 300_000)
    const head = await send(`${CONFIG_MAPS}/h1-known`, { method: 'HEAD', agent })
    assert.deepEqual([head.status, head.body], [200, ''])
    assert.equal((await send(`${CONFIG_MAPS}/h1-known`, { method: 'DELETE', agent })).status, 200)
    agent.destroy()
  })

  it('keeps its compression to itself', async () => {
    const plain = await send(CONFIG_MAPS, { headers: { 'accept-encoding': 'gzip' } })
    assert.equal(plain.headers['content-encoding'], 'gzip')
    const nodes = await connectFront(gateway.port, world.certificates, OPERATOR)
    const list = await nodes.request('GET', '/api/v1/nodes', { headers: { 'accept-encoding': 'gzip' } })
    assert.equal(list.headers['content-encoding'], undefined)
    assert.deepEqual(list.json().items, [])
    nodes.close()
  })

  it('takes no request for two, and leads nowhere else than to partitions', async () => {
    const both = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'
    assert.match(await speak(both), /^HTTP\/1.1 400/)
    assert.equal((await send('//127.0.0.1:1/api/v1/pods')).status, 404)
    const upgrade = 'GET //127.0.0.1:1/x HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n'
    assert.match(await speak(upgrade), /^HTTP\/1.1 404/)
    assert.match(await speak('BREW / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), /^HTTP\/1.1 4\d\d/)
    // who still sends when the answer comes sees the connection end instead
    const large = send('/version', { headers: { 'x-large': 'x'.repeat(70_000) } })
    assert.equal(
      await large.then(
        ({ status }) => status,
        () => 431,
      ),
      431,
    )
  })

  const speak = async (bytes: string): Promise<string> => {
    const socket = connectTls({ host: '127.0.0.1', port: gateway.port, ...tls, ALPNProtocols: ['http/1.1'] })
    socket.on('error', () => {})
    socket.write(bytes)
    return firstLine(socket)
  }

  it('takes certificates of the cluster alone', async () => {
    const foreign = await openClusterCertificates()
    const { certificatePem: cert, keyPem: key } = await foreign.client('eve', OPERATOR)
    const answer = await send(CONFIG_MAPS, { cert, key })
    assert.equal(answer.status, 403)
    assert.match(answer.body, /system:anonymous/)
    for (const organizations of [
      ['tenant:acme', 'tenant:globex'],
      ['tenant:acme', 'system:gateways'],
      ['tenant:'],
      ['a,system:masters'],
    ]) {
      const pair = await world.certificates.client(`bad-${organizations.join()}`, { commonName: 'eve', organizations })
      const refused = await send('/version', { cert: pair.certificatePem, key: pair.keyPem })
      assert.equal(refused.status, 401, organizations.join())
    }
  })

  it('tells the partition who somebody is, wholly', async () => {
    const who = { commonName: 'jane doe', organizations: ['dev', 'ops team', 'tenant:acme'] }
    const jane = await connectFront(gateway.port, world.certificates, who)
    const review = await jane.request('POST', SELF_REVIEW, { body: SELF })
    const { userInfo } = review.json<{ status: { userInfo: Record<string, unknown> } }>().status
    assert.equal(userInfo['username'], 'jane doe')
    assert.deepEqual(userInfo['groups'], ['dev', 'ops team', 'system:authenticated'])
    const extra = userInfo['extra'] as Record<string, string[]>
    assert.match(extra['authentication.kubernetes.io/credential-id']![0]!, /^X509SHA256=[0-9a-f]{64}$/)
    jane.close()
  })

  it('lets the partition check tokens, and finds it by what they say', async () => {
    const admin = await connectFront(gateway.port, world.certificates, adminOf('acme'))
    const account = { metadata: { name: 'robot', namespace: 'default' } }
    const made = await admin.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { apiVersion: 'v1', kind: serviceaccounts.kind, ...account },
    })
    assert.equal(made.status, 201, made.text)
    const asked = await admin.request('POST', '/api/v1/namespaces/default/serviceaccounts/robot/token', {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    })
    const { token } = asked.json<{ status: { token: string } }>().status
    const nobody = await connectFront(gateway.port, world.certificates)
    const review = async (bearer: string): Promise<{ status: number; text: string }> =>
      nobody.request('POST', SELF_REVIEW, { body: SELF, headers: { authorization: `Bearer ${bearer}` } })
    assert.match((await review(token)).text, /system:serviceaccount:default:robot/)
    const [head, payload, signature] = token.split('.')
    const changed = Buffer.from(payload!, 'base64url').toString().replace('robot', 'other')
    assert.equal((await review(`${head}.${Buffer.from(changed).toString('base64url')}.${signature}`)).status, 401)
    assert.equal((await review('nonsense')).status, 401)
    nobody.close()
    admin.close()
  })

  it('serves others while a client does not read, and that one in the end', async () => {
    const admin = await connectFront(gateway.port, world.certificates, adminOf('acme'))
    for (let i = 0; i < 20; i++) {
      const body = object(`large-${i}`, 'z'.repeat(500_000))
      assert.equal((await admin.request('POST', CONFIG_MAPS, { body })).status, 201)
    }
    admin.close()
    const session = connectHttp2(`https://127.0.0.1:${gateway.port}`, { ...tls })
    const stream = session.request({ ':path': CONFIG_MAPS })
    stream.pause()
    await new Promise((resolve) => stream.once('response', resolve))
    // others are served meanwhile, and the body is whole when it is read at last
    assert.equal((await send('/version')).status, 200)
    const whole = JSON.parse(await text(stream)) as { items: { data?: { value?: string } }[] }
    assert.equal(whole.items.filter((item) => item.data?.value?.length === 500_000).length, 20)
    session.destroy()
  })

  it('lets open requests end when it is told to stop, and takes no more', async () => {
    const own = await world.gateway()
    const session = connectHttp2(`https://127.0.0.1:${own.port}`, { ...tls })
    session.on('error', () => {})
    const late = session.request({ ':method': 'POST', ':path': CONFIG_MAPS, ...json })
    const answered = new Promise<number>((resolve) =>
      late.once('response', (headers) => resolve(headers[':status'] ?? 0)),
    )
    late.write(object('drained').slice(0, 5))
    const watch = session.request({ ':path': `${CONFIG_MAPS}?watch=1` })
    watch.on('error', () => {})
    await new Promise((resolve) => watch.once('response', resolve))
    watch.resume()
    const closed = own.close()
    await new Promise((resolve) => watch.once('close', resolve))
    late.end(object('drained').slice(5))
    assert.equal(await answered, 201)
    late.resume()
    await closed
    await eventually(() => session.destroyed)
    await assert.rejects(connectFront(own.port, world.certificates).then((client) => client.request('GET', '/version')))
  })
})

function firstLine(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = ''
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString('latin1')
      if (!all.includes('\r\n')) return
      socket.destroy()
      resolve(all.slice(0, all.indexOf('\r\n')))
    })
    socket.once('close', () => reject(new Error(`The connection was closed after ${JSON.stringify(all)}`)))
  })
}
