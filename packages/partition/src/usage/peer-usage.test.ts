import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { startTestNode, type TestNode } from '@centaurus/apiserver/testing/test-node'
import { createMemoryStore } from '@centaurus/store'
import type { OpenLink } from '../membership/partition-link.ts'
import {
  addNode,
  putPartitions,
  putTenant,
  runPod,
  startPartition,
  type TestPartition,
} from '../relay/testing/world.ts'
import { splitAsks, USAGE_PATH, USAGE_PODS_MAX } from './usage-wire.ts'

const NODES_EACH = 20
const RPS = ['rp1', 'rp2'] as const

interface Rp {
  readonly partition: TestPartition
  /** One server for all nodes of the partition. */
  readonly agent: TestNode
}

describe('what pods of a tenant use on many nodes of other partitions', () => {
  let certificates: ClusterCertificates
  let tp: TestPartition
  const rps = new Map<string, Rp>()
  const opened: string[] = []
  const asked: string[] = []

  /** Notes what goes from the tenant's partition to others. */
  const counted =
    (open: OpenLink): OpenLink =>
    (partition) => {
      const { name = '' } = partition.metadata
      const link = open(partition)
      return {
        ...link,
        request(options) {
          if (options.path === USAGE_PATH && !opened.includes(name)) opened.push(name)
          if (options.path === USAGE_PATH) asked.push(name)
          return link.request(options)
        },
      }
    }

  before(async () => {
    certificates = await openClusterCertificates()
    tp = await startPartition({ name: 'tp', store: createMemoryStore(), certificates, wrapLink: counted })
    const serving = { commonName: 'system:node:n', alternativeNames: ['127.0.0.1'] }
    for (const name of RPS) {
      const partition = await startPartition({ name, store: createMemoryStore(), certificates })
      rps.set(name, {
        partition,
        agent: await startTestNode(certificates.authority, await certificates.server(name, serving)),
      })
    }
    const all = [tp, ...Array.from(rps.values(), ({ partition }) => partition)]
    await putPartitions(all, { tp: ['Tenant'], rp1: ['Resource'], rp2: ['Resource'] })
    for (const tenant of ['acme', 'beta']) await putTenant(all, tenant, 'tp')
    for (const [name, rp] of rps) await fill(name, rp)
  })
  after(async () => {
    await tp.close()
    for (const { partition, agent } of rps.values()) {
      await partition.close()
      await agent.close()
    }
  })

  /** A pod of each tenant on each node, which all use something. */
  async function fill(name: string, { partition, agent }: Rp): Promise<void> {
    const told: object[] = []
    for (let i = 0; i < NODES_EACH; i++) {
      const node = `${name}-${i}`
      await addNode(partition, node)
      const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }]
      const daemonEndpoints = { kubeletEndpoint: { Port: agent.port } }
      await partition.client.updateStatus(nodes, { metadata: { name: node }, status: { addresses, daemonEndpoints } })
      for (const tenant of ['acme', 'beta']) {
        await runPod(tp.of(tenant), { name: node, node, partition: name })
        const pod = await tp.of(tenant).get(pods, { namespace: 'default', name: node })
        await tp.of(tenant).updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Running' } })
        const cpu = { time: new Date().toISOString(), usageNanoCores: tenant === 'acme' ? 20_000_000 : 30_000_000 }
        const containers = [{ name: 'c', cpu, memory: { workingSetBytes: 2 ** 20 } }]
        told.push({ podRef: { uid: pod.metadata.uid }, containers })
      }
    }
    agent.summary = { pods: told }
  }

  const topOf = async (tenant: string): Promise<readonly string[]> => {
    const admin = await tp.server.as({ commonName: 'admin', organizations: ['system:masters', `tenant:${tenant}`] })
    const answer = await admin('GET', '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods')
    const list = answer.json<{ items: { metadata: { name: string }; containers: { usage: { cpu: string } }[] }[] }>()
    return list.items.map(({ metadata, containers: [only] }) => `${metadata.name} ${only?.usage.cpu}`)
  }
  const scrapes = (): number[] =>
    Array.from(rps.values(), ({ agent }) => agent.seen.filter((path) => path.startsWith('/stats/summary')).length)

  it('takes one request a partition, and one reading a node for all who ask', async () => {
    const acme = await topOf('acme')
    assert.equal(acme.length, RPS.length * NODES_EACH)
    assert.ok(acme.every((line) => line.endsWith(' 20m')))
    assert.deepEqual([asked.toSorted(), scrapes()], [[...RPS], [NODES_EACH, NODES_EACH]])
    const beta = await topOf('beta')
    assert.ok(beta.length === acme.length && beta.every((line) => line.endsWith(' 30m')))
    assert.deepEqual([asked.toSorted(), scrapes()], [RPS.flatMap((name) => [name, name]), [NODES_EACH, NODES_EACH]])
    assert.deepEqual(opened.toSorted(), [...RPS], 'one connection each')
  })

  it('is for partitions alone', async () => {
    const body = { nodes: [] }
    const { partition } = rps.get('rp1')!
    for (const organizations of [['system:masters', 'tenant:acme'], ['system:nodes']]) {
      const caller = await partition.server.as({ commonName: 'system:node:rp1-0', organizations })
      assert.match(String((await caller('POST', USAGE_PATH, { body })).status), /^40[34]$/)
    }
  })

  it('leaves out a partition that is away', async () => {
    const { partition, agent } = rps.get('rp2')!
    rps.delete('rp2')
    await partition.close()
    await agent.close()
    const left = await topOf('acme')
    assert.equal(left.length, NODES_EACH)
    assert.ok(left.every((line) => line.startsWith('rp1-')))
  })
})

describe('a request for more pods than one may have', () => {
  it('is made in parts that name each pod once', () => {
    const uids = Array.from({ length: USAGE_PODS_MAX - 1 }, (_, i) => `${i}`)
    const parts = splitAsks([
      { node: 'a', pods: uids },
      { node: 'b', pods: ['x', 'y', 'z'] },
      { node: 'c', pods: [] },
    ])
    assert.deepEqual(
      parts.map((part) => part.map(({ node, pods: some }) => `${node} ${some.length}`)),
      [[`a ${USAGE_PODS_MAX - 1}`, 'b 1'], ['b 2']],
    )
    assert.deepEqual(splitAsks([]), [])
  })
})
