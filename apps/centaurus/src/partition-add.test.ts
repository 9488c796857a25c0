import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { partitions, vpcs } from '@centaurus/api/centaurus/v1'
import { createAdminHome } from './testing/admin-home.ts'
import { runCli, type CliResult } from './testing/run-cli.ts'
import { TestCluster } from './testing/test-cluster.ts'

describe('a range of Services for a new partition', () => {
  const directory = mkdtempSync(join(tmpdir(), 'centaurus-add-'))
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant'])
    await cluster.add('tp1', ['Tenant'])
    await cluster.untilReady()
    await cluster.createTenant('acme', 'tp1')
    const acme = await cluster.admin('acme', 'tp1')
    await acme.create(vpcs, { metadata: { name: 'blue' }, spec: { cidr: '10.200.0.0/16' } })
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const add = (range: string): Promise<CliResult> => {
    const { dir } = createAdminHome(join(directory, 'cli'), cluster.home.plane.kubeconfig)
    return runCli(['partition', 'add', 'tp2', '--roles', 'tenant', '--service-cidr', range], { CENTAURUS_HOME: dir })
  }
  const assertRefused = async (range: string, why: RegExp): Promise<void> => {
    const { code, stdout, stderr } = await add(range)
    assert.equal(code, 1)
    assert.match(stdout + stderr, why)
    const { items } = await cluster.home.plane.client.list(partitions)
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['home', 'tp1'],
    )
  }

  it('may hide no network of a tenant of any partition, which the refusal names', () =>
    assertRefused(
      '10.200.7.0/24',
      /must not overlap with 10\.200\.0\.0\/16, which the network \(Vpc\) "blue" of tenant "acme" has/,
    ))

  it('is not given while a partition does not say which networks there are', async () => {
    await cluster.part('tp1').stop()
    await assertRefused('10.201.0.0/16', /partition "tp1" does not say .* or name no --service-cidr/)
  })
})
