import assert from 'node:assert/strict'
import { request as httpsRequest } from 'node:https'
import { after, before, describe, it } from 'node:test'
import { decodeProtobuf, encodeProtobuf, isProtobuf } from '@centaurus/api'
import type { ApiServerExtension } from '../extension.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { SYSTEM_TENANT } from './request-info.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

describe('the request pipeline', () => {
  let test: TestServer
  before(async () => {
    test = await startTestServer()
    await test.request('POST', CONFIG_MAPS, {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one' }, data: { a: '1' } },
    })
  })
  after(() => test.close())

  const get = (accept: string, path = `${CONFIG_MAPS}/one`) => test.request('GET', path, { headers: { accept } })

  it('speaks HTTP/1.1 on the same port', async () => {
    const ca = test.certificates.authority.certificatePem
    const body = await new Promise<string>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: test.port, path: `${CONFIG_MAPS}/one`, ca, agent: false }
      const request = httpsRequest(options, (response) => {
        assert.equal(response.httpVersion, '1.1')
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve(text))
      })
      request.on('error', reject)
      request.end()
    })
    assert.equal((JSON.parse(body) as { metadata: { name: string } }).metadata.name, 'one')
  })

  it('answers in YAML, protobuf, as a Table and as metadata alone', async () => {
    assert.match((await get('application/yaml')).text, /^\s+name: one$/m)
    const binary = await get('application/vnd.kubernetes.protobuf')
    assert.ok(isProtobuf(binary.bytes))
    assert.deepEqual((decodeProtobuf(binary.bytes) as { data?: unknown }).data, { a: '1' })
    const table = await get('application/json;as=Table;v=v1;g=meta.k8s.io,application/json', CONFIG_MAPS)
    const { kind, rows } = table.json<{ kind: string; rows: { cells: unknown[]; object: { kind: string } }[] }>()
    assert.equal(kind, 'Table')
    assert.equal(rows[0]!.cells[0], 'one')
    assert.equal(rows[0]!.object.kind, 'PartialObjectMetadata')
    const partial = await get('application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', CONFIG_MAPS)
    assert.equal(partial.json().kind, 'PartialObjectMetadataList')
    assert.equal(partial.json().items[0]!.spec, undefined)
  })

  it('prefers the JSON that it holds when the client likes protobuf no better', async () => {
    const response = await get('application/vnd.kubernetes.protobuf,application/json')
    assert.equal(response.headers['content-type'], 'application/json')
  })

  it('takes protobuf and YAML bodies', async () => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'binary' }, data: { x: 'y' } }
    const body = encodeProtobuf(object)
    const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' }
    const created = await test.request('POST', CONFIG_MAPS, { body, headers })
    assert.equal(created.status, 201, created.text)
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text\ndata: {x: "y"}\n'
    const second = await test.request('POST', CONFIG_MAPS, {
      body: yaml,
      headers: { 'content-type': 'application/yaml' },
    })
    assert.equal(second.status, 201, second.text)
  })

  it('refuses what it cannot read, send or do, each in its own way', async () => {
    assert.equal((await get('image/png')).status, 406)
    const cbor = { body: 'x', headers: { 'content-type': 'application/cbor' } }
    assert.equal((await test.request('POST', CONFIG_MAPS, cbor)).status, 415)
    const patch = { body: '{}', headers: { 'content-type': 'application/json' } }
    assert.equal((await test.request('PATCH', `${CONFIG_MAPS}/one`, patch)).status, 415)
    assert.equal((await test.request('DELETE', '/api/v1/componentstatuses/x')).status, 405)
    const huge = { body: Buffer.alloc(3 * 1024 * 1024 + 1, 0x20) }
    const refused = await test.request('POST', CONFIG_MAPS, huge)
    assert.equal(refused.status, 413)
    assert.equal(refused.json().reason, 'RequestEntityTooLarge')
    assert.equal((await test.request('GET', `${CONFIG_MAPS}?labelSelector=%3D%3D%3D`)).status, 400)
    assert.equal((await test.request('GET', `${CONFIG_MAPS}?fieldSelector=data%3Dx`)).status, 400)
    assert.equal((await test.request('GET', `${CONFIG_MAPS}?watch=1&resourceVersion=abc`)).status, 400)
  })

  it('warns of unknown fields and refuses them when asked to be strict', async () => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'odd' }, dta: {} }
    const warned = await test.request('POST', CONFIG_MAPS, { body })
    assert.equal(warned.status, 201)
    assert.equal(warned.headers['warning'], '299 - "unknown field \\"dta\\""')
    const refused = await test.request('POST', `${CONFIG_MAPS}?fieldValidation=Strict`, { body })
    assert.equal(refused.status, 400)
  })

  it('gives every answer an Audit-Id and serves the health endpoints', async () => {
    const response = await test.request('GET', '/readyz?verbose')
    assert.match(String(response.headers['audit-id']), /^[0-9a-f-]{36}$/)
    assert.match(response.text, /\[\+\]watch-cache ok/)
    assert.equal((await test.request('GET', '/livez')).text, 'ok')
    assert.equal((await test.request('GET', '/readyz/watch-cache')).text, 'ok')
    assert.equal((await test.request('GET', '/readyz/nothing')).status, 404)
    assert.equal((await test.request('GET', '/version')).json<{ minor: string }>().minor, '37')
  })

  it('compresses long answers when the client wants it', async () => {
    const data = { text: 'x'.repeat(200_000) }
    await test.request('POST', '/api/v1/namespaces/kube-public/configmaps', {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'long' }, data },
    })
    const headers = { 'accept-encoding': 'gzip' }
    const list = await test.request('GET', '/api/v1/namespaces/kube-public/configmaps', { headers })
    assert.equal(list.headers['content-encoding'], 'gzip')
    assert.ok(list.bytes.length < 20_000)
  })
})

describe('a long list', () => {
  it('arrives whole, in chunks', async () => {
    const test = await startTestServer()
    const base = '/api/v1/namespaces/default/configmaps'
    const data = { text: 'ü'.repeat(20_000) }
    for (let i = 0; i < 30; i++) {
      await test.request('POST', base, {
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `c${i}` }, data },
      })
    }
    const list = await test.request('GET', base)
    assert.equal(list.headers['content-length'], undefined)
    assert.equal(list.json().items.length, 30)
    assert.equal(list.json<{ items: { data: { text: string } }[] }>().items[29]!.data.text, data.text)
    await test.close()
  })
})

describe('authorization', () => {
  const users = { name: 'ada', uid: '', groups: ['people'], extra: {}, tenant: SYSTEM_TENANT }
  const extension = (): ApiServerExtension => ({
    authenticator: { authenticate: ({ headers }) => (headers['x-user'] === undefined ? undefined : users) },
    authorizer: {
      authorize: ({ user, verb, resource, name }) => {
        const may =
          user.name === 'bob' ||
          (user.name === 'ada' && verb === 'impersonate' && resource === 'users' && name === 'bob')
        return { allowed: may, reason: '' }
      },
    },
  })
  let test: TestServer
  before(async () => {
    test = await startTestServer({ extensions: [extension] })
  })
  after(() => test.close())

  it('refuses in the words that people search for', async () => {
    const response = await test.request('GET', '/api/v1/namespaces/default/pods')
    assert.equal(response.status, 403)
    assert.equal(
      response.json().message,
      'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"',
    )
    const path = await test.request('GET', '/metrics')
    assert.equal(path.json().message, 'forbidden: User "system:anonymous" cannot get path "/metrics"')
  })

  it('lets who may impersonate act as another', async () => {
    const asBob = { 'x-user': 'ada', 'impersonate-user': 'bob' }
    assert.equal((await test.request('GET', '/api/v1/namespaces', { headers: asBob })).status, 200)
    const asEve = { 'x-user': 'ada', 'impersonate-user': 'eve' }
    const refused = await test.request('GET', '/api/v1/namespaces', { headers: asEve })
    assert.equal(refused.status, 403)
    assert.match(refused.json().message, /users "eve" is forbidden: User "ada" cannot impersonate resource "users"/)
  })
})
