import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { namespaces, pods, serviceaccounts, type Pod } from '@centaurus/api/core/v1'
import { rolebindings } from '@centaurus/api/rbac/v1'
import { runKubectl, type KubectlResult } from '@centaurus/apiserver/testing/kubectl'
import { startCluster, type Cluster } from './cluster.ts'

const WAIT_MS = 20_000
const CPU_OF = { small: '100m', big: '1' } as const

describe('kubectl top in a cluster of simulated nodes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'top-'))
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ simulatedNodes: 2 })
    writeFileSync(join(directory, 'config'), cluster.kubeconfig)
    const { client } = cluster
    await client.create(namespaces, { metadata: { name: 'other' } })
    for (const name of ['small', 'big'] as const) await client.create(pods, makePod(name, 'default'))
    await client.create(pods, makePod('small', 'other'))
    await eventually(async () => (await client.list(pods)).items.every(({ status }) => status?.phase === 'Running'))
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true })
  })

  for (const minor of [31, 35] as const) {
    const kubectl = (args: string): Promise<KubectlResult> =>
      runKubectl(args.split(' '), { kubeconfig: join(directory, 'config'), minor })
    const output = async (args: string): Promise<string[][]> => {
      const { code, stdout, stderr } = await kubectl(args)
      assert.equal(code, 0, stderr)
      return stdout
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
    }

    it(`1.${minor} shows what pods use, in one namespace and in all`, async () => {
      assert.deepEqual(await output('top pods --no-headers'), [
        ['big', '500m', '32Mi'],
        ['small', '50m', '32Mi'],
      ])
      assert.deepEqual(await output('top pods -A --no-headers'), [
        ['default', 'big', '500m', '32Mi'],
        ['default', 'small', '50m', '32Mi'],
        ['other', 'small', '50m', '32Mi'],
      ])
    })

    it(`1.${minor} shows one pod, its containers, and those with a label`, async () => {
      assert.deepEqual(await output('top pod big --no-headers'), [['big', '500m', '32Mi']])
      assert.deepEqual(await output('top pod -l size=small --containers --no-headers'), [['small', 'c', '50m', '32Mi']])
      const none = await kubectl('top pod nobody')
      assert.deepEqual([none.code, none.stderr.includes('not found')], [1, true])
    })

    it(`1.${minor} shows what nodes use, of what they have`, async () => {
      const rows = await output('top nodes --no-headers')
      assert.deepEqual(
        rows.map(([name]) => name),
        ['simulated-0', 'simulated-1'],
      )
      const whole = rows.map(([, cpu = '']) => Number(cpu.replace('m', ''))).reduce((a, b) => a + b, 0)
      assert.equal(whole, 600, 'each node tells of its own pods only')
      assert.match(rows[0]?.[2] ?? '', /^\d+%$/)
    })

    it(`1.${minor} gets the same as objects`, async () => {
      assert.deepEqual(await output('get pods.metrics.k8s.io big --no-headers'), [['big', '500m', '32Mi', '10s']])
      const [[kinds]] = (await output('api-resources --api-group=metrics.k8s.io -o name')) as [[string]]
      assert.equal(kinds, 'nodes.metrics.k8s.io')
      assert.match((await kubectl('explain pods --api-version=metrics.k8s.io/v1beta1')).stdout, /KIND:\s+PodMetrics/)
    })
  }

  it('lets those who may view a namespace see what its pods use, and no nodes', async () => {
    await cluster.client.create(serviceaccounts, { metadata: { namespace: 'default', name: 'viewer' } })
    await cluster.client.create(rolebindings, {
      metadata: { namespace: 'default', name: 'viewer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'default', name: 'viewer' }],
    })
    const run = (args: string): Promise<KubectlResult> =>
      runKubectl([...args.split(' '), '--as=system:serviceaccount:default:viewer'], {
        kubeconfig: join(directory, 'config'),
        minor: 35,
      })
    assert.match((await run('top pods')).stdout, /^big\s/m)
    assert.match((await run('top nodes')).stderr, /Forbidden/)
    assert.match((await run('top pods -n other')).stderr, /Forbidden/)
  })
})

function makePod(name: keyof typeof CPU_OF, namespace: string): Pod {
  const requests = { cpu: CPU_OF[name], memory: '64Mi' }
  return {
    metadata: { name, namespace, labels: { size: name } },
    spec: { containers: [{ name: 'c', image: 'x', resources: { requests } }] },
  }
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
