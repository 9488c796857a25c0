import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { networkidentities, vpcs } from '@centaurus/api/centaurus/v1'
import { createKubeconfig } from '../certificates/kubeconfig.ts'
import { runKubectl } from '../testing/kubectl.ts'
import { startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'
import { createNetworkExtension } from './network-extension.ts'

const POLICY = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: guard }
spec:
  tier: Admin
  priority: 7
  subject: { namespaces: {} }
  egress:
    - name: no-metadata
      action: Deny
      to: [{ networks: [169.254.169.254/32] }]
      protocols: [{ tcp: { destinationPort: { number: 80 } } }]
`

describe('the real kubectl and pod networks', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kubectl-networks-'))
  const kubeconfig = join(directory, 'kubeconfig')
  let test: TestServer
  before(async () => {
    test = await startTenantServer({ extensions: [createNetworkExtension()] })
    const { certificatePem: cert, keyPem: key } = await test.certificates.client('kubectl-networks', {
      commonName: 'admin',
      organizations: ['system:masters'],
    })
    const ca = test.certificates.authority.certificatePem
    writeFileSync(kubeconfig, createKubeconfig({ server: `https://127.0.0.1:${test.port}`, ca, cert, key }))
  })
  after(async () => {
    await test.close()
    rmSync(directory, { recursive: true })
  })

  const kubectl = async (args: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await runKubectl(args.split(' '), { kubeconfig, minor: 35, input })
    return code === 0 ? stdout : `${code} ${stderr}`
  }

  it('show them', async () => {
    const vpc = await test.client.get(vpcs, { name: 'default' })
    await test.client.updateStatus(vpcs, { ...vpc, status: { vni: 1, nextIdentity: 257 } })
    const spec = { id: 256, vpc: 'default', namespace: 'shop', labels: { app: 'web' }, keys: ['app'] }
    await test.client.create(networkidentities, { metadata: { name: 'id-1' }, spec })
    assert.match(await kubectl('get vpcs'), /^NAME\s+CIDR\s+VNI\s+READY\s+AGE\ndefault\s+1\s/)
    assert.match(
      await kubectl('get netid'),
      /^NAME\s+ID\s+VPC\s+NAMESPACE\s+LABELS\s+AGE\nid-1\s+256\s+default\s+shop\s+\{"app":"web"\}\s/,
    )
  })

  it('explain, apply, change and refuse policies', async () => {
    assert.match(await kubectl('explain cnp.spec.tier'), /ENUM:\s+Admin\s+Baseline.*Admin is asked before/s)
    assert.match(await kubectl('explain vpc.spec.cidr'), /may\s+overlap with those of any other network/)
    assert.equal(await kubectl('apply -f -', POLICY), 'clusternetworkpolicy.policy.networking.k8s.io/guard created\n')
    assert.match(await kubectl('get cnp'), /^NAME\s+TIER\s+PRIORITY\s+AGE\nguard\s+Admin\s+7\s/)
    const changed = POLICY.replace('priority: 7', 'priority: 8')
    assert.match(await kubectl('apply -f -', changed), /guard configured/)
    const wrong = POLICY.replace('169.254.169.254/32', '169.254.169.254')
    assert.match(
      await kubectl('apply -f -', wrong),
      /spec.egress\[0\].to\[0\].networks\[0\].*Invalid CIDR format provided/,
    )
    const unknown = POLICY.replace('networks', 'addresses')
    assert.match(await kubectl('apply -f -', unknown), /unknown field "spec.egress\[0\].to\[0\].addresses"/)
  })
})
