import {
  deepEqual,
  formatTime,
  isInPodNetwork,
  isStatus,
  splitQualifiedName,
  tenantOfViewed,
  VPC_FINALIZER,
  vpcNameOf,
  type KubeObject,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import { networkidentities, remotenodes, subnets, vpcs, type Vpc } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import type { TenantDirectory } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import {
  createWorkQueue,
  runController,
  type Client,
  type Informer,
  type InformerFactory,
  type RunningController,
} from '@centaurus/client'
import { hasAddress, internalAddressesOf, type NodeAddresses } from './hidden-nodes.ts'
import { numberedStatus, planVpc, toldStatus } from './plan-vpc.ts'
import { VniAllocator, type VniAllocatorDeps } from './vni-allocator.ts'

const WORKERS = 4
const DELETES_AT_ONCE = 32
/** Pods by the name of their network. */
const BY_VPC = 'vpc'
const BY_TENANT = 'tenant'
/** Of a network that goes, many pods go at once. */
const LAST_PODS_DELAY_MS = 100

export interface VpcsDeps extends VniAllocatorDeps {
  /** Over the view of all tenants that live here. */
  readonly informers: InformerFactory
  /** Of the same view. */
  readonly client: Client
  /** Who says how the pods of each tenant use the network. */
  readonly tenants: Pick<TenantDirectory, 'find' | 'onChange'>
  readonly clock: Clock
  readonly logger: Logger
}

/** Gives networks their numbers, has them say what operators grant their tenants, and lets those go that are deleted and have no pods. Run it in one server of a partition at a time. */
export function startVpcs(deps: VpcsDeps): RunningController {
  const { informers, clock, logger } = deps
  const queue = createWorkQueue({ clock })
  const vnis = new VniAllocator(deps)
  const vpcInformer = informers.informer(vpcs)
  const podInformer = informers.informer(pods)
  const nodeInformers: NodeInformers = [informers.informer(nodes), informers.informer(remotenodes)]
  const owned = [
    { type: networkidentities, informer: informers.informer(networkidentities) },
    { type: subnets, informer: informers.informer(subnets) },
  ] as unknown as readonly Owned[] // they differ in what they hold beside `spec.vpc`
  podInformer.addIndex(BY_VPC, (pod) => (isInPodNetwork(pod) ? [vpcNameOf(pod)] : []))
  const add = ({ metadata: { name } }: Stored<Vpc>): void => queue.add(name)
  vpcInformer.addIndex(BY_TENANT, (vpc) => [tenantOfViewed(vpc)])
  const stops = [
    // a Tenant changes with all that its tenant uses; of that its networks say nothing
    deps.tenants.onChange((tenant) => {
      const network = deps.tenants.find(tenant)?.network
      for (const vpc of vpcInformer.byIndex(BY_TENANT, tenant))
        if (!deepEqual(vpc.status?.tenantNetwork, network)) add(vpc)
    }),
    vpcInformer.addHandler({ onAdd: add, onUpdate: add }),
    ...followNodes(nodeInformers, (isHidden) => {
      for (const vpc of vpcInformer.list()) if (isHidden(vpc)) add(vpc)
    }),
    podInformer.addHandler({
      onDelete: (pod) => addTerminating(vpcNameOf(pod)),
      onUpdate: (pod) => {
        if (!isInPodNetwork(pod)) addTerminating(vpcNameOf(pod))
      },
    }),
  ]
  function addTerminating(name: string): void {
    if (vpcInformer.get(name)?.metadata.deletionTimestamp !== undefined) queue.addAfter(name, LAST_PODS_DELAY_MS)
  }
  const controller = runController({
    name: 'vpc-controller',
    queue,
    workers: WORKERS,
    logger,
    async reconcile(name, signal) {
      for (const informer of [vpcInformer, podInformer]) await informer.whenSynced(signal)
      for (const { informer } of owned) await informer.whenSynced(signal)
      const vpc = vpcInformer.get(name)
      if (vpc === undefined) return
      const nodeAddresses = vpc.spec?.cidr === undefined ? [] : listAddresses(nodeInformers)
      await reconcileVpc(vpc, { ...deps, vnis, podInformer, nodeAddresses, owned })
    },
  })
  return {
    ...controller,
    async close() {
      for (const stop of stops) stop()
      await controller.close()
    },
  }
}

type NodeInformers = readonly Pick<
  Informer<KubeObject & NodeAddresses>,
  'synced' | 'list' | 'addHandler' | 'whenSynced'
>[]

/** Undefined: not all were listed yet. Networks need not wait for nodes of partitions that do not answer. */
function listAddresses(informers: NodeInformers): string[] | undefined {
  if (!informers.every(({ synced }) => synced)) return undefined
  return informers.flatMap((each) => each.list().flatMap(internalAddressesOf))
}

/** Tells of which networks to look at again: those that have an address which comes or goes, and all when the nodes are known. Returns what ends it. */
function followNodes(informers: NodeInformers, touch: (isMeant: (vpc: Readonly<Vpc>) => boolean) => void) {
  const touchAt = (addresses: readonly string[]): void => {
    // before, all are looked at anyway
    if (addresses.length > 0 && informers.every(({ synced }) => synced))
      touch((vpc) => addresses.some((address) => hasAddress(vpc, address)))
  }
  void Promise.all(informers.map((informer) => informer.whenSynced())).then(
    () => touch(({ spec }) => spec?.cidr !== undefined),
    () => {}, // closed before
  )
  return informers.map((informer) =>
    informer.addHandler({
      onAdd: (node) => touchAt(internalAddressesOf(node)),
      onDelete: (node) => touchAt(internalAddressesOf(node)),
      onUpdate(node, old) {
        const [now, before] = [internalAddressesOf(node), internalAddressesOf(old)]
        if (!deepEqual(now, before)) touchAt([...now, ...before])
      },
    }),
  )
}

type OwnedObject = KubeObject & { readonly spec: { readonly vpc: string } }

interface Owned {
  readonly type: ResourceType<OwnedObject>
  readonly informer: Informer<OwnedObject>
}

interface VpcWork extends VpcsDeps {
  readonly vnis: VniAllocator
  readonly podInformer: Pick<Informer<Pod>, 'byIndex'>
  /** Of all nodes; undefined: not known yet. */
  readonly nodeAddresses: readonly string[] | undefined
  /** What goes with a network. */
  readonly owned: readonly Owned[]
}

async function reconcileVpc(vpc: Stored<Vpc>, work: VpcWork): Promise<void> {
  const { name } = vpc.metadata
  const tenant = tenantOfViewed(vpc)
  const own = splitQualifiedName(name)?.name ?? name
  const isDeleted = vpc.metadata.deletionTimestamp !== undefined
  const isUsed = !isDeleted || work.podInformer.byIndex(BY_VPC, name).length > 0
  const tenantNetwork = work.tenants.find(tenant)?.network
  const facts = { tenant, name: own, isUsed, tenantNetwork, nodeAddresses: work.nodeAddresses }
  const step = planVpc(vpc, facts)
  if (step.type === 'release') await release(vpc, work)
  else if (step.type !== 'nothing') {
    const { status } = vpc
    const vni = step.type === 'tell' ? undefined : (step.vni ?? (await work.vnis.take()))
    const now = formatTime(work.clock.now())
    const numbered = vni === undefined ? status : numberedStatus(vpc, { vni, now })
    const next = { ...vpc, ...(numbered === undefined ? {} : { status: numbered }) }
    await work.client.updateStatus(vpcs, { ...vpc, status: toldStatus(next, facts, now) })
  }
}

async function release({ metadata: { name } }: Stored<Vpc>, { client, owned }: VpcWork): Promise<void> {
  // a pod that was let in just before may not be in the cache yet; its event brings us back
  const { items } = await client.list(pods)
  if (items.some((pod) => isInPodNetwork(pod) && vpcNameOf(pod) === name)) return
  for (const { type, informer } of owned) {
    const doomed = informer.list().filter(({ spec }) => spec.vpc === name)
    for (let i = 0; i < doomed.length; i += DELETES_AT_ONCE)
      await Promise.all(doomed.slice(i, i + DELETES_AT_ONCE).map((object) => remove(client, type, object)))
  }
  const vpc = await client.get(vpcs, { name })
  const finalizers = (vpc.metadata.finalizers ?? []).filter((finalizer) => finalizer !== VPC_FINALIZER)
  await client.update(vpcs, { ...vpc, metadata: { ...vpc.metadata, finalizers } })
}

async function remove<T extends KubeObject>(client: Client, type: ResourceType<T>, { metadata }: T): Promise<void> {
  try {
    await client.delete(type, { name: metadata.name ?? '' })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
