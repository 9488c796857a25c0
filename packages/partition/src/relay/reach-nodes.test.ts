import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { startTestNode, type TestNode } from '@centaurus/apiserver/testing/test-node'
import { createMemoryStore } from '@centaurus/store'
import { dialRemoteCommand } from '@centaurus/streams'
import { addNode, putPartitions, putTenant, runPod, startPartition, type TestPartition } from './testing/world.ts'

describe('logs and exec of pods on nodes of another partition', () => {
  let certificates: ClusterCertificates
  let tp: TestPartition
  let rp: TestPartition
  let node: TestNode
  const store = { tp: createMemoryStore(), rp: createMemoryStore() }

  before(async () => {
    certificates = await openClusterCertificates()
    node = await startTestNode(
      certificates.authority,
      await certificates.server('node', { commonName: 'system:node:n1', alternativeNames: ['127.0.0.1'] }),
    )
    tp = await startPartition({ name: 'tp', store: store.tp, certificates })
    rp = await startPartition({ name: 'rp', store: store.rp, certificates })
    await addNode(rp, 'n1')
    await rp.client.updateStatus(nodes, {
      metadata: { name: 'n1' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: node.port } },
      },
    })
    await putPartitions([tp, rp], { tp: ['Tenant'], rp: ['Resource'] })
    await putTenant([tp, rp], 'acme', 'tp')
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp' })
  })
  after(async () => {
    for (const partition of [tp, rp]) await partition.close()
    await node.close()
  })

  it('go through that partition, under the name by which the node knows the pod', async () => {
    const admin = await tp.server.as({ commonName: 'admin', organizations: ['system:masters', 'tenant:acme'] })
    const log = await admin('GET', '/api/v1/namespaces/default/pods/web/log?tailLines=1')
    assert.equal(log.text, 'GET /containerLogs/default--acme/web/c\n')
    const { certificatePem, keyPem } = await certificates.client('admin-of-acme', {
      commonName: 'admin',
      organizations: ['system:masters', 'tenant:acme'],
    })
    const command = await dialRemoteCommand(
      {
        url: new URL(
          `https://127.0.0.1:${tp.server.port}/api/v1/namespaces/default/pods/web/exec?command=echo&command=hi&stdout=true`,
        ),
        tls: { ca: certificates.authority.certificatePem, cert: certificatePem, key: keyPem },
      },
      { stdin: false, stdout: true, stderr: false, tty: false },
    )
    assert.equal(await text(command.stdout!), 'ECHO HI')
    command.close()
    assert.ok(node.seen.includes('/exec/default--acme/web/c?output=1&command=echo&command=hi'))
  })

  it('is how a tenant’s use is known, and never that of others’ pods there', async () => {
    const NAME = { namespace: 'default', name: 'web' }
    await putTenant([tp, rp], 'beta', 'tp')
    await runPod(tp.of('beta'), { name: 'web', node: 'n1', partition: 'rp' })
    const containers: object[] = []
    for (const [tenant, nanoCores] of [
      ['acme', 20_000_000],
      ['beta', 30_000_000],
    ] as const) {
      const pod = await tp.of(tenant).get(pods, NAME)
      await tp.of(tenant).updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Running' } })
      const cpu = { time: new Date().toISOString(), usageNanoCores: nanoCores }
      const container = { name: 'c', cpu, memory: { workingSetBytes: 2 ** 20 } }
      containers.push({ podRef: { uid: pod.metadata.uid }, containers: [container] })
    }
    node.summary = { pods: containers }
    const cpuOf = async (tenant: string, path: string): Promise<unknown> => {
      const admin = await tp.server.as({ commonName: 'admin', organizations: ['system:masters', `tenant:${tenant}`] })
      const answer = await admin('GET', `/apis/metrics.k8s.io/v1beta1/${path}`)
      const list = answer.json<{
        items: { metadata: { namespace: string }; containers: { usage: { cpu: string } }[] }[]
      }>()
      return list.items.map(({ metadata, containers: [only] }) => [metadata.namespace, only?.usage.cpu])
    }
    assert.deepEqual(await cpuOf('acme', 'pods'), [['default', '20m']])
    assert.deepEqual(await cpuOf('beta', 'namespaces/default/pods'), [['default', '30m']])
    assert.deepEqual(await cpuOf('beta', 'nodes'), [])
    const operator = await tp.server.as({ commonName: 'admin', organizations: ['system:masters'] })
    const all = (await operator('GET', '/tenants/all/apis/metrics.k8s.io/v1beta1/pods')).json()
    assert.deepEqual(
      all.items.map(({ metadata }) => metadata['namespace']),
      ['default--acme', 'default--beta'],
    )
    const own = (await operator('GET', '/apis/metrics.k8s.io/v1beta1/pods')).json()
    assert.deepEqual(own.items, [])
  })
})
