import {
  formatTime,
  IDENTITIES_MAX,
  IDENTITY_QUARANTINE_MS,
  isStatus,
  qualifyName,
  tenantOfViewed,
  UsedLabelKeys,
  type Stored,
} from '@centaurus/api'
import { FIRST_IDENTITY, networkidentities, vpcs, type NetworkIdentity, type Vpc } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies } from '@centaurus/api/policy-networking/v1alpha2'
import type { Informer, ReconcileResult, RunningController, WorkQueue } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { IdentityLedger, type ExistingIdentity, type WantedIdentity } from './ledger.ts'
import { EXHAUSTED, exhaustedCondition, findBusyKeys, planNumbers, withExhausted, type NumberPool } from './plan.ts'
import { Recount } from './recount.ts'

/** Identities made or deleted in one go of a network, before others get their turn. */
const BATCH = 512
const WRITES_AT_ONCE = 32
/** Looked at again so soon: a tenant that has too many identities, or must not have any, may be another then. */
const RECHECK_MS = 10_000
const NO_NUMBERS: NumberPool = { next: 0, end: 0 }

export interface NetworkIdentityOptions {
  /** Default {@link IDENTITY_QUARANTINE_MS}. */
  readonly quarantineMs?: number | undefined
  /** Of a tenant; default {@link IDENTITIES_MAX}. */
  readonly identitiesMax?: number | undefined
  /**
   * By uid of a Vpc: above all numbers of its identities that others know of, who have seen more than a store that is an old copy; 0: they know none. Asked before
   * numbers are reserved. Absent: nobody does.
   */
  readonly nextIdentityElsewhere?: ((uid: string) => Promise<number>) | undefined
}

/**
 * Makes the NetworkIdentity of each pod as soon as there is the pod, and deletes those that no pod would get for a while. A pod like others costs nothing; a
 * policy that asks for a new label has the pods that it may concern looked at again. Numbers are reserved in the Vpc's status before they are given: after any
 * crash, what was reserved and not given is lost, and never given.
 */
export function startNetworkIdentityController(
  deps: ControllerDeps,
  options: NetworkIdentityOptions = {},
): RunningController {
  const settings = withDefaults(options)
  const { informers, clock } = deps
  const vpcInformer = informers.informer(vpcs)
  const podInformer = informers.informer(pods)
  const identityInformer = informers.informer(networkidentities)
  const late: { queue?: WorkQueue } = {}
  const used = new UsedLabelKeys()
  const ledger = new IdentityLedger({
    used,
    nowMs: () => clock.monotonicMs(),
    onMissing: (vpc) => late.queue?.add(vpc),
    onUnused: (vpc) => late.queue?.addAfter(vpc, settings.quarantineMs),
  })
  const recount = new Recount(ledger, podInformer)
  const numbers = new Map<string, NumberPool>()
  const running = startReconciler<Vpc>(deps, {
    name: 'network-identity-controller',
    informer: vpcInformer,
    needs: [
      podInformer,
      identityInformer,
      informers.informer(networkpolicies),
      informers.informer(clusternetworkpolicies),
    ],
    watch({ queue }) {
      late.queue = queue
      return [
        ...watchPolicies(deps, used, recount),
        identityInformer.addHandler({
          onAdd(identity) {
            ledger.putIdentity(existing(identity))
            if (ledger.missingOf(identity.spec.vpc, 0).total > 0) queue.add(identity.spec.vpc)
          },
          onDelete: (identity) => ledger.removeIdentity(existing(identity)),
        }),
        podInformer.addHandler({
          onAdd: (pod) => ledger.putPod(pod),
          onUpdate: (pod) => ledger.putPod(pod),
          onDelete: (pod) => ledger.removePod(pod),
        }),
        vpcInformer.addHandler({
          onAdd: ({ metadata: { name } }) => queue.add(name),
          onDelete: ({ metadata: { uid } }) => void numbers.delete(uid),
        }),
      ]
    },
    async reconcile(name, context) {
      await recount.done()
      const vpc = vpcInformer.get(name)
      if (vpc === undefined) return undefined
      return reconcileNetwork(vpc, { ...context, ...settings, ledger, numbers, identityInformer })
    },
  })
  return {
    ...running,
    async close() {
      recount.close()
      await running.close()
    },
  }
}

interface Settings {
  readonly quarantineMs: number
  readonly identitiesMax: number
  readonly nextIdentityElsewhere: (uid: string) => Promise<number>
}

function withDefaults({
  quarantineMs = IDENTITY_QUARANTINE_MS,
  identitiesMax = IDENTITIES_MAX,
  nextIdentityElsewhere = async () => 0,
}: NetworkIdentityOptions): Settings {
  return { quarantineMs, identitiesMax, nextIdentityElsewhere }
}

function existing(identity: Stored<NetworkIdentity>): ExistingIdentity {
  return { name: identity.metadata.name, tenant: tenantOfViewed(identity), vpc: identity.spec.vpc }
}

function watchPolicies({ informers }: ControllerDeps, used: UsedLabelKeys, recount: Recount): (() => void)[] {
  return [
    informers.informer(networkpolicies).addHandler({
      onAdd: (policy) => recount.add(used.putPolicy(policy)),
      onUpdate: (policy) => recount.add(used.putPolicy(policy)),
      onDelete: (policy) => recount.add(used.remove(policy)),
    }),
    informers.informer(clusternetworkpolicies).addHandler({
      onAdd: (policy) => recount.add(used.putClusterPolicy(policy)),
      onUpdate: (policy) => recount.add(used.putClusterPolicy(policy)),
      onDelete: (policy) => recount.add(used.remove(policy)),
    }),
  ]
}

interface Work extends ReconcilerContext, Settings {
  readonly ledger: IdentityLedger
  /** Reserved numbers that are left, by uid of the network. */
  readonly numbers: Map<string, NumberPool>
  readonly identityInformer: Informer<NetworkIdentity>
}

async function reconcileNetwork(vpc: Stored<Vpc>, work: Work): Promise<ReconcileResult> {
  const { ledger, queue, identitiesMax } = work
  const { name } = vpc.metadata
  const { some } = ledger.missingOf(name, BATCH)
  if (some.length > 0 && !(await makeIdentities(vpc, some, work))) return { requeueAfterMs: RECHECK_MS }
  const waiting = ledger.missingOf(name, 0).total
  const isExhausted = waiting > 0 && ledger.countOf(tenantOfViewed(vpc)) >= identitiesMax
  await tellExhausted(vpc, { isExhausted, waiting }, work)
  const nextMs = await deleteUnused(name, work)
  if (waiting > 0 && !isExhausted) queue.add(name)
  return isExhausted ? { requeueAfterMs: RECHECK_MS } : nextMs
}

/** False: admission lets none in now, since the tenant is being deleted or its own webhooks say so. */
async function makeIdentities(vpc: Stored<Vpc>, wanted: readonly WantedIdentity[], work: Work): Promise<boolean> {
  const { ledger, numbers, identitiesMax } = work
  const { uid } = vpc.metadata
  const room = identitiesMax - ledger.countOf(tenantOfViewed(vpc))
  const { count } = await reserve(vpc, { missing: wanted.length, room }, work)
  for (let i = 0; i < count; i += WRITES_AT_ONCE) {
    const made = wanted.slice(i, Math.min(i + WRITES_AT_ONCE, count)).map((each) => {
      const pool = numbers.get(uid)!
      numbers.set(uid, { ...pool, next: pool.next + 1 }) // whatever becomes of the write, nobody else gets it
      return makeIdentity(each, pool.next, work)
    })
    if ((await Promise.all(made)).includes(false)) return false
  }
  return true
}

async function makeIdentity(wanted: WantedIdentity, id: number, work: Work): Promise<boolean> {
  const { client, identityInformer, writes } = work
  const { name, vpc, namespace, labels, keys } = wanted
  const spec = { id, vpc, namespace, labels: { ...labels }, keys: [...keys] }
  try {
    writes.wrote(vpc, identityInformer, await client.create(networkidentities, { metadata: { name }, spec }))
  } catch (error) {
    if (isStatus(error, 'Forbidden')) return false
    if (!isStatus(error, 'AlreadyExists')) throw error
    writes.wrote(vpc, identityInformer, await client.get(networkidentities, { name })) // the cache was behind
  }
  return true
}

async function reserve(
  { metadata: { name, uid } }: Stored<Vpc>,
  { missing, room }: { readonly missing: number; readonly room: number },
  { client, numbers, nextIdentityElsewhere }: Work,
): Promise<{ readonly count: number }> {
  const elsewhere = await nextIdentityElsewhere(uid)
  const vpc = await client.get(vpcs, { name }) // a cache may not know what was reserved last
  if (vpc.metadata.uid !== uid) return { count: 0 }
  const next = vpc.status?.nextIdentity ?? FIRST_IDENTITY
  const kept = numbers.get(uid) ?? NO_NUMBERS
  const pool = next > kept.end ? NO_NUMBERS : kept // somebody raised it, who knows that others have these
  const plan = planNumbers({ missing, room, pool, nextIdentity: Math.max(next, elsewhere) })
  if (plan.reserve === undefined) return plan
  await client.updateStatus(vpcs, { ...vpc, status: { ...vpc.status, nextIdentity: plan.reserve.end } })
  numbers.set(uid, plan.reserve)
  return plan
}

async function tellExhausted(
  vpc: Stored<Vpc>,
  { isExhausted, waiting }: { readonly isExhausted: boolean; readonly waiting: number },
  { client, ledger, events, clock, identitiesMax: max }: Work,
): Promise<void> {
  const { name } = vpc.metadata
  const isTold = vpc.status?.conditions?.some(({ type, status }) => type === EXHAUSTED && status === 'True') === true
  if (isExhausted === isTold) return
  const tenant = tenantOfViewed(vpc)
  const busy = isExhausted ? { waiting, max, keys: findBusyKeys(ledger.labelsOf(tenant)) } : undefined
  const condition = exhaustedCondition(busy, formatTime(clock.now()))
  const current = await client.get(vpcs, { name })
  const status = withExhausted(current.status, condition)
  if (status === undefined) return
  const object = await client.updateStatus(vpcs, { ...current, status })
  if (!isExhausted) return
  const { reason, message } = condition
  events.record(
    { ...object, apiVersion: 'centaurus.io/v1', kind: 'Vpc' },
    { type: 'Warning', reason, message, namespace: qualifyName('default', tenant) },
  )
}

/** When the next one is due. */
async function deleteUnused(vpc: string, work: Work): Promise<ReconcileResult> {
  const { client, ledger, identityInformer, clock, quarantineMs, writes } = work
  const nowMs = clock.monotonicMs()
  const { names, nextMs } = ledger.unusedOf(vpc, nowMs - quarantineMs)
  for (let i = 0; i < Math.min(names.length, BATCH); i += WRITES_AT_ONCE) {
    const some = names.slice(i, Math.min(i + WRITES_AT_ONCE, BATCH))
    await Promise.all(
      some.map(async (name) => {
        const identity = identityInformer.get(name)
        if (identity === undefined || !ledger.isUnused(name)) return
        const { uid } = identity.metadata
        try {
          await client.delete(networkidentities, { name }, { preconditions: { uid } })
        } catch (error) {
          if (!isStatus(error, 'NotFound')) throw error
        }
        writes.deleted(vpc, identityInformer, identity)
      }),
    )
  }
  if (names.length > 0) return { requeueAfterMs: RECHECK_MS }
  return nextMs === undefined ? undefined : { requeueAfterMs: Math.max(1, nextMs + quarantineMs - nowMs) }
}
