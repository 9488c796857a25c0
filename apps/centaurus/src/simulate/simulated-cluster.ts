import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import { createHttpClient } from '@centaurus/client/http'
import type { KnownProcess, ScaleCluster, ScalePartition, ScaleTenant, TlsIdentity } from '@centaurus/simulation/scale'
import { SINGLE_PARTITION, type PartitionSetup } from '../control-plane/partition-setup.ts'
import { forkSelf, PartitionChild } from './partition-child.ts'

/** Speaks for hollow nodes: may impersonate them, and nothing else. */
const NODES_USER = 'system:hollow-nodes'

export interface SimulatedClusterOptions {
  /** Empty folder for everything. */
  readonly dir: string
  /** Of each process, in MiB. */
  readonly heapMib: number
}

/** Real control planes in processes of their own, on this machine. */
export interface SimulatedCluster extends ScaleCluster {
  close(): Promise<void>
}

interface Member {
  readonly partition: ScalePartition
  readonly child: PartitionChild
}

/** Starts all partitions. Rejects, with nothing left running, when one does not start. */
export async function startSimulatedCluster(options: SimulatedClusterOptions): Promise<SimulatedCluster> {
  const pkiDir = join(options.dir, 'pki')
  const certificates = await openClusterCertificates({ directory: pkiDir })
  const members: Member[] = []
  const nodes: ChildProcess[] = []
  const close = async (): Promise<void> => {
    for (const child of nodes) child.kill('SIGKILL')
    await Promise.all(members.map(({ child }) => child.stop()))
  }
  try {
    const home = await startMember(options, { pkiDir, setup: SINGLE_PARTITION })
    members.push(home)
    const admin = await identityOf(certificates, 'admin', {
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
    })
    for (const { partition } of members) await allowHollowNodes(partition.url, admin)
    return {
      partitions: members.map(({ partition }) => partition),
      tenants: tenantsOf(members),
      admin,
      nodes: await identityOf(certificates, 'hollow-nodes', { commonName: NODES_USER }),
      processes: () => members.map(describeProcess),
      forkNodes() {
        const logFile = join(options.dir, `nodes-${nodes.length}.log`)
        const child = forkSelf('simulate-nodes', { logFile, heapMib: options.heapMib })
        nodes.push(child)
        return child
      },
      async crash(name, downMs) {
        const member = members.find(({ partition }) => partition.name === name)
        if (member === undefined) throw new Error(`Cannot crash partition "${name}": there is none`)
        await member.child.kill()
        await delay(downMs)
        await member.child.start()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function startMember(
  { dir, heapMib }: SimulatedClusterOptions,
  { pkiDir, setup }: { readonly pkiDir: string; readonly setup: PartitionSetup },
): Promise<Member> {
  const { name, roles } = setup
  const port = await freePort()
  const storeDir = join(dir, name)
  mkdirSync(storeDir)
  const child = new PartitionChild({ setup, port, storeDir, pkiDir }, { logFile: join(dir, `${name}.log`), heapMib })
  await child.start()
  const partition = {
    name,
    url: `https://127.0.0.1:${port}`,
    isTenant: roles.includes('Tenant'),
    isResource: roles.includes('Resource'),
  }
  return { partition, child }
}

function tenantsOf(members: readonly Member[]): ScaleTenant[] {
  return [{ name: 'system', partition: members[0]!.partition.name }]
}

function describeProcess({ partition, child }: Member): KnownProcess {
  const { name, isTenant, isResource } = partition
  const role = isTenant && isResource ? 'partition' : isTenant ? 'tenant-partition' : 'resource-partition'
  return { name, role, pid: child.pid }
}

async function identityOf(
  certificates: ClusterCertificates,
  file: string,
  identity: Parameters<ClusterCertificates['client']>[1],
): Promise<TlsIdentity> {
  const { certificatePem, keyPem } = await certificates.client(file, identity)
  return { ca: certificates.authority.certificatePem, cert: certificatePem, key: keyPem }
}

/** Impersonation is authorized like everything else. */
async function allowHollowNodes(server: string, admin: TlsIdentity): Promise<void> {
  const client = createHttpClient({ server, ...admin, userAgent: 'centaurus-simulate' })
  const name = NODES_USER
  try {
    await client.create(clusterroles, {
      metadata: { name },
      rules: [
        { apiGroups: [''], resources: ['users'], verbs: ['impersonate'] },
        { apiGroups: [''], resources: ['groups'], resourceNames: ['system:nodes'], verbs: ['impersonate'] },
      ],
    })
    await client.create(clusterrolebindings, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
    })
  } finally {
    await client.close()
  }
}

/** A port that was free a moment ago: a partition must come back at the same one. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
