import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import type { DropEvent } from '../dataplane/dataplane.ts'
import { DropLog, type NamedDrop } from './drop-log.ts'
import { startLocalServer } from './local-server.ts'
import type { NetworkStatus } from './status.ts'

const STATUS: NetworkStatus = {
  node: 'n1',
  notReady: 'waits',
  attachments: [],
  podBlocks: [],
  pods: [],
  networks: [],
  egressAddresses: [],
  nodes: [],
  services: 0,
  shaping: { device: 'eth0', mode: 'edt', bandwidth: 1e9, problem: undefined, levels: [] },
  channels: undefined,
  skippedServices: [],
  policyProblems: [],
  tables: [],
  drops: {},
  lastChange: undefined,
}

const event = (destinationPort: number): DropEvent => ({
  reason: 'PolicyIngress',
  rule: 7,
  direction: 'ingress',
  vni: 1,
  identity: 300,
  source: '10.244.0.2',
  destination: '10.244.0.3',
  node: '0.0.0.0',
  protocol: 6,
  sourcePort: 40_000,
  destinationPort,
})

describe("the daemon's socket", () => {
  let dir: string
  let server: { close(): Promise<void> }
  const drops = new DropLog(createManualClock(), {
    tenantOf: () => 'acme',
    networkOf: () => 'lab',
    nodeOf: (address) => (address === '192.168.77.2' ? 'edge' : undefined),
    groupOf: (_, identity) => (identity === 300 ? 'a pod of shop' : undefined),
    nameOf: (_, address) => (address === '10.244.0.2' ? 'shop/web' : undefined),
    ruleOf: (rule) =>
      rule === 7
        ? { kind: 'NetworkPolicy', namespace: 'shop', name: 'db', direction: 'ingress', index: -1 }
        : undefined,
    whyNoEgress: (vni) => `nothing leaves ${vni}`,
  })

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-socket-'))
    server = await startLocalServer(join(dir, 's'), {
      status: () => STATUS,
      metrics: async () => ({ contentType: 'text/plain', text: 'a 1\n' }),
      drops,
    })
  })
  after(async () => {
    await server.close()
    await rm(dir, { recursive: true })
  })

  const get = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request({ socketPath: join(dir, 's'), path }, resolve)
        .on('error', reject)
        .end()
    })
  async function text(path: string): Promise<string> {
    let all = ''
    for await (const chunk of (await get(path)).setEncoding('utf8') as AsyncIterable<string>) all += chunk
    return all
  }

  it('is for its owner alone', async () => {
    assert.equal((await stat(join(dir, 's'))).mode & 0o777, 0o600)
  })

  it('tells the status and metrics, and what else there is', async () => {
    assert.deepEqual(JSON.parse(await text('/status')), JSON.parse(JSON.stringify(STATUS)))
    assert.equal(await text('/metrics'), 'a 1\n')
    assert.equal((await get('/x')).statusCode, 404)
  })

  it('tells drops with names and rules, those that were and those that come', { timeout: 10_000 }, async () => {
    drops.add(event(80))
    const [first] = (await text('/drops')).trim().split('\n')
    assert.deepEqual(JSON.parse(first!), {
      at: '2026-01-01T00:00:00.000Z',
      reason: 'PolicyIngress',
      direction: 'ingress',
      tenant: 'acme',
      network: 'lab',
      protocol: 'TCP',
      source: { address: '10.244.0.2', port: 40_000, name: 'shop/web' },
      destination: { address: '10.244.0.3', port: 80 },
      rule: { kind: 'NetworkPolicy', namespace: 'shop', name: 'db', direction: 'ingress', index: -1 },
    })
    const following = await get('/drops?follow=1')
    const lines = createInterface({ input: following })[Symbol.asyncIterator]()
    const portOf = async (): Promise<number> =>
      (JSON.parse((await lines.next()).value as string) as NamedDrop).destination.port
    assert.equal(await portOf(), 80)
    drops.add(event(81))
    assert.equal(await portOf(), 81)
    drops.add({ ...event(82), reason: 'NoEgress' })
    assert.equal((JSON.parse((await lines.next()).value as string) as NamedDrop).why, 'nothing leaves 1')
    following.destroy()
  })

  it('tells what is known of senders elsewhere, and whose host it was', async () => {
    drops.add({ ...event(82), source: '10.244.9.9', node: '192.168.77.2' })
    drops.add({ ...event(6081), reason: 'UnknownNode', source: '192.168.77.66', node: '192.168.77.66', identity: 0 })
    const [known, unknown] = drops.recent.slice(-2)
    assert.deepEqual([known?.source.name, known?.source.group], [undefined, 'a pod of shop'])
    assert.deepEqual(known?.via, { address: '192.168.77.2', name: 'edge' })
    assert.deepEqual([unknown?.source.group, unknown?.via], [undefined, { address: '192.168.77.66', name: undefined }])
  })

  it('remembers a bounded number', () => {
    for (let port = 1; port <= 1_100; port++) drops.add(event(port))
    assert.deepEqual([drops.recent.length, drops.recent[0]!.destination.port], [1_000, 101])
  })
})
