import assert from 'node:assert/strict'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { nodes, pods, type Container } from '@centaurus/api/core/v1'
import { DialRefusedError, dialPortForward, dialRemoteCommand } from '@centaurus/streams'
import { WebSocket } from 'ws'
import { openClusterCertificates } from '../certificates/cluster-certificates.ts'
import { startTestNode, type TestNode } from '../testing/test-node.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { parseProxyId } from './http-location.ts'
import { createProxyExtension } from './proxy-extension.ts'

const PODS = '/api/v1/namespaces/default/pods'
const STREAMS = { stdin: true, stdout: true, stderr: false, tty: false }

describe('what the server passes on to nodes', () => {
  let test: TestServer
  let node: TestNode
  before(async () => {
    const certificates = await openClusterCertificates()
    const { authority } = certificates
    node = await startTestNode(
      authority,
      await certificates.server('node', { commonName: 'system:node:n', alternativeNames: ['127.0.0.1'] }),
    )
    const client = await certificates.client('kubelet-client', { commonName: 'kube-apiserver-kubelet-client' })
    const tls = { ca: authority.certificatePem, cert: client.certificatePem, key: client.keyPem }
    test = await startTestServer({ extensions: [createProxyExtension({ tls })] })
    await test.client.create(nodes, { metadata: { name: 'n' } })
    await test.client.updateStatus(nodes, {
      metadata: { name: 'n' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: node.port } },
      },
    })
    const create = (name: string, containers: string[]): Promise<unknown> => {
      const specs = containers.map((container): Container => ({ name: container, image: 'x' }))
      return test.client.create(pods, {
        metadata: { name, namespace: 'default' },
        spec: { nodeName: 'n', containers: specs },
      })
    }
    await Promise.all([create('p', ['c']), create('two', ['a', 'b']), create('w', ['waiting'])])
  })
  after(async () => {
    await test.close()
    await node.close()
  })
  const url = (path: string): URL => new URL(`https://127.0.0.1:${test.port}${path}`)
  const target = (path: string) => ({ url: url(path), tls: { rejectUnauthorized: false } })

  it('streams logs with the options that a node knows', async () => {
    const response = await test.request('GET', `${PODS}/p/log?tailLines=5&timestamps=true`)
    assert.deepEqual([response.status, response.headers['content-type']], [200, 'text/plain'])
    assert.equal(response.text, 'GET /containerLogs/default/p/c\n')
    assert.ok(node.seen.includes('/containerLogs/default/p/c?timestamps=true&tailLines=5'))
  })

  it('answers in upstream’s words when no container is meant, and with the node’s when it can’t', async () => {
    const message = async (path: string): Promise<string> =>
      (await test.request('GET', `${PODS}/${path}`)).json().message
    assert.equal(await message('two/log'), 'a container name must be specified for pod two, choose one of: [a b]')
    assert.equal(await message('p/log?container=x'), 'container x is not valid for pod p')
    assert.equal(await message('w/log'), 'container "waiting" in pod "p" is waiting to start: ContainerCreating')
    assert.equal(await message('none/log'), 'pods "none" not found')
    assert.equal(
      await message('p/log?tailLines=-1'),
      'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    )
    assert.equal(await message('p/exec?command=x'), 'Upgrade request required')
  })

  it('ends a followed log at the node when the client goes away', async () => {
    await new Promise<void>((resolve) => {
      const outgoing = requestHttps(
        url(`${PODS}/p/log?follow=true`),
        { rejectUnauthorized: false, agent: false },
        (response) => {
          response.once('data', () => outgoing.destroy())
          response.on('error', () => {})
        },
      )
      outgoing.on('error', () => {})
      outgoing.on('close', resolve)
      outgoing.end()
    })
    while (!node.seen.includes('log closed')) await new Promise((resolve) => setImmediate(resolve))
  })

  it('runs commands for SPDY clients', async () => {
    const client = await dialRemoteCommand(target(`${PODS}/p/exec?stdin=true&stdout=true&command=x`), STREAMS)
    client.stdin?.end('hello')
    assert.equal(await text(client.stdout!), 'HELLO')
    assert.equal((await client.status).status, 'Success')
    client.close()
  })

  it('runs commands for WebSocket clients, with their end of input and the exit code', async () => {
    const socket = new WebSocket(url(`${PODS}/p/exec?stdin=true&stdout=true&command=x`), ['v5.channel.k8s.io'], {
      rejectUnauthorized: false,
    })
    const channels: Record<number, string> = {}
    socket.on('message', (data: Buffer) => {
      channels[data[0] ?? -1] = (channels[data[0] ?? -1] ?? '') + data.subarray(1).toString()
    })
    await new Promise((resolve) => socket.once('open', resolve))
    socket.send(Buffer.from('\0fail'))
    socket.send(Buffer.from([255, 0]))
    await new Promise((resolve) => socket.once('close', resolve))
    assert.equal(channels[1], 'FAIL')
    assert.equal(
      (JSON.parse(channels[3] ?? '{}') as { details: { causes: { message: string }[] } }).details.causes[0]?.message,
      '7',
    )
  })

  it('passes a node’s refusal on before anything is upgraded', async () => {
    await assert.rejects(
      dialRemoteCommand(target(`${PODS}/w/exec?stdin=true&stdout=true&command=x`), STREAMS),
      (error) => {
        assert.ok(error instanceof DialRefusedError)
        assert.deepEqual([error.code, error.body.toString()], [400, 'container not running'])
        return true
      },
    )
    const socket = new WebSocket(url(`${PODS}/w/exec?stdout=true&command=x`), ['v5.channel.k8s.io'], {
      rejectUnauthorized: false,
    })
    const code = await new Promise((resolve) =>
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode)),
    )
    assert.equal(code, 400)
    socket.on('error', () => {})
    socket.terminate()
  })

  it('forwards ports', async () => {
    const client = await dialPortForward(target(`${PODS}/p/portforward`))
    const { data, error } = client.connect(8080)
    data.end('ping')
    assert.deepEqual(await Promise.all([text(data), text(error)]), ['8080:ping', ''])
    client.close()
  })

  it('proxies HTTP to a node', async () => {
    const response = await test.request('GET', '/api/v1/nodes/n/proxy/pods/?x=1')
    assert.equal(response.text, 'GET /pods/\n')
    assert.ok(node.seen.includes('/pods/?x=1'))
    assert.equal((await test.request('GET', '/api/v1/nodes/n/proxy')).status, 301)
    assert.equal((await test.request('GET', `${PODS}/p/proxy/`)).json().message, 'address not allowed')
    assert.match(
      (await test.request('GET', '/api/v1/namespaces/default/services/x/proxy/')).json().message,
      /no endpoints available for service "x"/,
    )
  })
})

describe('parseProxyId', () => {
  it('reads a name with a port and a scheme', () => {
    assert.deepEqual(parseProxyId('p', 'pod'), { scheme: '', name: 'p', port: '' })
    assert.deepEqual(parseProxyId('p:80', 'pod'), { scheme: '', name: 'p', port: '80' })
    assert.deepEqual(parseProxyId('https:p:', 'pod'), { scheme: 'https', name: 'p', port: '' })
    assert.throws(() => parseProxyId('ftp:p:1', 'pod'), /invalid pod request "ftp:p:1"/)
  })
})
