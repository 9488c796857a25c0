import { isStatus, qualifyName, tenantOfViewed, viewedName, splitQualifiedName, type Stored } from '@centaurus/api'
import { subnets, vpcs, type Subnet, type Vpc } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController, WorkQueue } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { planSubnets, SUBNET_IDLE_MS, subnetNameOf, type SubnetPlan } from './plan.ts'
import { PodCounts } from './pod-counts.ts'

const BY_VPC = 'vpc'
/** A network without free blocks is told of again so soon. */
const RECHECK_MS = 30_000

export interface SubnetOptions {
  /** Default {@link SUBNET_IDLE_MS}. */
  readonly idleMs?: number | undefined
}

/** Gives nodes blocks of the addresses of networks that have addresses of their own, as their pods come, and takes them back long after the last has gone. */
export function startSubnetController(
  deps: ControllerDeps,
  { idleMs = SUBNET_IDLE_MS }: SubnetOptions = {},
): RunningController {
  const { informers, clock } = deps
  const vpcInformer = informers.informer(vpcs)
  const podInformer = informers.informer(pods)
  const subnetInformer = informers.informer(subnets)
  subnetInformer.addIndex(BY_VPC, ({ spec }) => [spec.vpc])
  const late: { queue?: WorkQueue } = {}
  const counts = new PodCounts((vpc) => late.queue?.add(vpc))
  const idle = new IdleNodes(() => clock.monotonicMs())
  return startReconciler<Vpc>(deps, {
    name: 'subnet-controller',
    informer: vpcInformer,
    needs: [podInformer, subnetInformer],
    watch({ queue }) {
      late.queue = queue
      return [
        podInformer.addHandler({
          onAdd: (pod) => counts.put(pod),
          onUpdate: (pod) => counts.put(pod),
          onDelete: (pod) => counts.remove(pod),
        }),
        subnetInformer.addHandler({
          onDelete: ({ spec }) => queue.add(spec.vpc), // somebody deleted it, or others can have it now
        }),
        vpcInformer.addHandler({
          onAdd: ({ metadata: { name } }) => queue.add(name),
          onDelete: ({ metadata: { name } }) => idle.forget(name),
        }),
      ]
    },
    async reconcile(name, context) {
      const vpc = vpcInformer.get(name)
      if (vpc?.spec?.cidr === undefined) return undefined
      return reconcileSubnets(vpc, { ...context, counts, idle, idleMs, subnetInformer })
    },
  })
}

/** Since when nodes have had no pod of a network. */
class IdleNodes {
  readonly #since = new Map<string, Map<string, number>>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** `nodes`: those that have blocks. */
  note(vpc: string, nodes: Iterable<string>, pods: ReadonlyMap<string, number>): (node: string) => number {
    const before = this.#since.get(vpc)
    const nowMs = this.#nowMs()
    const since = new Map<string, number>()
    for (const node of nodes) if (!pods.has(node)) since.set(node, before?.get(node) ?? nowMs)
    this.#since.set(vpc, since)
    return (node) => nowMs - (since.get(node) ?? nowMs)
  }

  forget(vpc: string): void {
    this.#since.delete(vpc)
  }
}

interface Work extends ReconcilerContext {
  readonly counts: PodCounts
  readonly idle: IdleNodes
  readonly idleMs: number
  readonly subnetInformer: Informer<Subnet>
}

async function reconcileSubnets(vpc: Stored<Vpc>, work: Work): Promise<ReconcileResult> {
  const { counts, idle, idleMs, subnetInformer, client, writes } = work
  const { name } = vpc.metadata
  const own = subnetInformer.byIndex(BY_VPC, name)
  const podsOf = counts.of(name)
  const idleMsOf = idle.note(name, new Set(own.map(({ spec }) => spec.node)), podsOf)
  const known = own.map(({ metadata, spec }) => ({ name: metadata.name, spec }))
  const plan = planSubnets({ cidr: vpc.spec?.cidr ?? '', pods: podsOf, subnets: known, idleMsOf, idleMs })
  const tenant = tenantOfViewed(vpc)
  for (const { cidr, node } of plan.create) {
    const ownName = subnetNameOf(splitQualifiedName(name)?.name ?? name, cidr)
    const metadata = { name: viewedName(ownName, tenant) }
    writes.wrote(name, subnetInformer, await client.create(subnets, { metadata, spec: { vpc: name, cidr, node } }))
  }
  for (const { subnet, released } of plan.mark) {
    const object = subnetInformer.get(subnet.name)
    if (object === undefined) continue
    const { released: _, ...spec } = object.spec
    const next = { ...object, spec: released ? { ...spec, released } : spec }
    writes.wrote(name, subnetInformer, await client.update(subnets, next))
  }
  for (const { name: subnet } of plan.remove) {
    const object = subnetInformer.get(subnet)
    if (object === undefined) continue
    const { uid, resourceVersion } = object.metadata
    try {
      await client.delete(subnets, { name: subnet }, { preconditions: { uid, resourceVersion } })
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error
    }
    writes.deleted(name, subnetInformer, object)
  }
  tellFull(vpc, plan, work)
  if (own.some(({ spec }) => !podsOf.has(spec.node))) return { requeueAfterMs: idleMs }
  return plan.without.length > 0 ? { requeueAfterMs: RECHECK_MS } : undefined
}

function tellFull(vpc: Stored<Vpc>, { without }: SubnetPlan, { events }: Work): void {
  if (without.length === 0) return
  const message = `All blocks of ${vpc.spec?.cidr} are in use; pods on ${without.join(', ')} get no address. Make a network with more addresses, and move pods there`
  const namespace = qualifyName('default', tenantOfViewed(vpc))
  const object = { ...vpc, apiVersion: 'centaurus.io/v1' as const, kind: 'Vpc' as const }
  events.record(object, { type: 'Warning', reason: 'NoFreeBlock', message, namespace })
}
