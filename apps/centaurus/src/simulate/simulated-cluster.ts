import type { ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { tenants } from '@centaurus/api/centaurus/v1'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import { createHttpClient } from '@centaurus/client/http'
import type { KnownProcess, ScaleCluster, ScalePartition, ScaleTenant, TlsIdentity } from '@centaurus/simulation/scale'
import { HOME_PARTITION, SINGLE_PARTITION, type PartitionSetup } from '../control-plane/partition-setup.ts'
import { registerPartition, waitUntilReady } from '../partition-registry.ts'
import { UserError } from '../user-error.ts'
import { forkSelf, PartitionChild } from './partition-child.ts'

/** Speaks for hollow nodes: may impersonate them, and nothing else. */
const NODES_USER = 'system:hollow-nodes'
const USER_AGENT = 'centaurus-simulate'
/** The cluster's authority, and the key that signs tokens: the same in all partitions. */
const SHARED_FILES = ['ca.crt', 'ca.key', 'sa.key']
const TENANTS_MS_MAX = 60_000
const POLL_MS = 100

/** So many tenant and resource partitions; undefined: one partition that is both. */
export type Topology = { readonly tps: number; readonly rps: number } | undefined

export interface SimulatedClusterOptions {
  /** Empty folder for everything. */
  readonly dir: string
  readonly topology: Topology
  readonly tenantsPerPartition: number
  /** Of each process, in MiB. */
  readonly heapMib: number
  /** Called when a process ends and nobody told it to. */
  readonly onLost: (error: Error) => void
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
  const admin = await identityOf(certificates, 'admin', {
    commonName: 'kubernetes-admin',
    organizations: ['system:masters'],
  })
  const members: Member[] = []
  const nodes: ChildProcess[] = []
  const close = async (): Promise<void> => {
    for (const child of nodes) child.kill('SIGKILL')
    await Promise.all(members.map(({ child }) => child.stop()))
  }
  try {
    await startMembers(options, { pkiDir, admin, members })
    return {
      partitions: members.map(({ partition }) => partition),
      tenants: await createTenants(options, { admin, members }),
      operators: { name: 'system', partition: HOME_PARTITION },
      admin,
      nodes: await identityOf(certificates, 'hollow-nodes', { commonName: NODES_USER }),
      processes: () => members.map(describeProcess),
      flushes: () => members.reduce((sum, { child }) => sum + child.flushes, 0),
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

interface Starting {
  readonly pkiDir: string
  readonly admin: TlsIdentity
  /** Filled as they start, so that whoever waits can end them. */
  readonly members: Member[]
}

/** Home first; the others enter its registry, as `centaurus partition add` makes them. */
async function startMembers(options: SimulatedClusterOptions, { pkiDir, admin, members }: Starting): Promise<void> {
  const { topology } = options
  const roles = topology === undefined ? SINGLE_PARTITION.roles : (['Tenant'] as const)
  const home = await startMember(options, { pkiDir, setup: { ...SINGLE_PARTITION, roles }, index: 0 })
  members.push(home)
  await allowHollowNodes(home.partition.url, admin)
  const client = createHttpClient({ server: home.partition.url, ...admin, userAgent: USER_AGENT })
  try {
    for (const { name, role } of furtherPartitions(topology)) {
      const settings = await registerPartition(client, { name, roles: [role], serviceRange: undefined })
      const member = await startMember(options, {
        pkiDir,
        setup: { ...settings, homeEndpoints: [home.partition.url], serverName: undefined },
        index: settings.index,
      })
      members.push(member)
      await waitUntilReady(client, name)
      await allowHollowNodes(member.partition.url, admin)
    }
  } finally {
    await client.close()
  }
}

function furtherPartitions(topology: Topology): { readonly name: string; readonly role: 'Tenant' | 'Resource' }[] {
  if (topology === undefined) return []
  const tps = Array.from({ length: topology.tps - 1 }, (_, i) => ({ name: `tp-${i + 2}`, role: 'Tenant' as const }))
  const rps = Array.from({ length: topology.rps }, (_, i) => ({ name: `rp-${i + 1}`, role: 'Resource' as const }))
  return [...tps, ...rps]
}

interface StartMember {
  readonly pkiDir: string
  readonly setup: PartitionSetup
  readonly index: number
}

async function startMember(
  { dir, heapMib, onLost }: SimulatedClusterOptions,
  { pkiDir, setup, index }: StartMember,
): Promise<Member> {
  const { name, roles } = setup
  const port = await freePort()
  const storeDir = join(dir, name)
  const ownPkiDir = join(dir, `${name}-pki`)
  mkdirSync(storeDir)
  mkdirSync(ownPkiDir)
  for (const file of SHARED_FILES) copyFileSync(join(pkiDir, file), join(ownPkiDir, file))
  const order = { setup, index, port, storeDir, pkiDir: ownPkiDir }
  const child = new PartitionChild(order, { logFile: join(dir, `${name}.log`), heapMib, onLost })
  await child.start()
  const partition = {
    name,
    url: `https://127.0.0.1:${port}`,
    isTenant: roles.includes('Tenant'),
    isResource: roles.includes('Resource'),
  }
  return { partition, child }
}

/** Users of a cluster of many partitions are tenants, dealt out to the tenant partitions; of a single one the system's. */
async function createTenants(
  { topology, tenantsPerPartition }: SimulatedClusterOptions,
  { admin, members }: Pick<Starting, 'admin' | 'members'>,
): Promise<ScaleTenant[]> {
  if (topology === undefined) return [{ name: 'system', partition: HOME_PARTITION }]
  const client = createHttpClient({ server: members[0]!.partition.url, ...admin, userAgent: USER_AGENT })
  try {
    const hosts = members.filter(({ partition }) => partition.isTenant)
    const wanted = Array.from({ length: tenantsPerPartition * hosts.length }, (_, i) => ({
      name: `load-${i + 1}`,
      partition: hosts[i % hosts.length]!.partition.name,
    }))
    for (const { name, partition } of wanted) await client.create(tenants, { metadata: { name }, spec: { partition } })
    const deadline = performance.now() + TENANTS_MS_MAX
    for (const { name } of wanted) {
      while ((await client.get(tenants, { name })).status?.phase !== 'Active') {
        if (performance.now() > deadline)
          throw new UserError(`Tenant "${name}" is not active after ${TENANTS_MS_MAX / 1000} s`)
        await delay(POLL_MS)
      }
    }
    return wanted
  } finally {
    await client.close()
  }
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
  const client = createHttpClient({ server, ...admin, userAgent: USER_AGENT })
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
