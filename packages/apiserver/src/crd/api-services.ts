import { formatTime, isStatus, type KindBehavior } from '@centaurus/api'
import { apiservices, type APIService } from '@centaurus/api/apiregistration/v1'
import type { ApiServerCore, CreateExtension } from '../extension.ts'
import { API_SERVICE_BEHAVIOR } from './api-service-behavior.ts'
import { compareVersions } from '../discovery/documents.ts'

const AUTO_MANAGED_LABEL = 'kube-aggregator.kubernetes.io/automanaged'
/** Of groups of custom resources. Source: kubernetes pkg/controlplane/controller/crdregistration (v1.37). */
const CUSTOM_PRIORITY = { group: 1000, version: 100 }
/** Of built-in groups in the catalogue's order: the first highest, as upstream's table has it. */
const BUILT_IN_PRIORITY_MAX = 18_000
const GROUP_PRIORITY_STEP = 50

/**
 * Keeps an APIService for each group and version that is served here, and tells remote ones that they are not: aggregation of other
 * servers is later work. Source: kube-aggregator pkg/controllers/autoregister and status/local (v0.37).
 */
export function createApiServicesExtension(): CreateExtension {
  return (core) => {
    const own = core.registry.find('apiregistration.k8s.io', 'v1', 'apiservices')
    if (own !== undefined) {
      core.registry.change({
        added: [{ ...own, behavior: { ...own.behavior, ...(API_SERVICE_BEHAVIOR as unknown as KindBehavior) } }],
      })
    }
    const builtIn = new Set(core.registry.list().map(({ info }) => `${info.group}/${info.version}`))
    const work = createWork(core, () => reconcileApiServices(core, builtIn))
    const stops: (() => void)[] = []
    return {
      async start() {
        stops.push(core.registry.onChange(work.wake), core.reader.onChange(apiservices, work.wake))
        work.wake() // nothing waits for these objects
      },
      async close() {
        for (const stop of stops) stop()
        await work.close()
      },
    }
  }
}

/** Name of the APIService of a version: `v1.apps`, `v1.` for the core group. */
export function apiServiceName(group: string, version: string): string {
  return `${version}.${group}`
}

/** The APIServices that should be there for what is served here. Pure. */
export function planLocalApiServices(
  served: readonly { readonly group: string; readonly version: string }[],
  builtIn: ReadonlySet<string>,
  now: string,
): APIService[] {
  const groups = [...new Set(served.map(({ group }) => group))]
  const versions = new Map(served.map((entry) => [`${entry.group}/${entry.version}`, entry]))
  return [...versions].map(([key, { group, version }]) => {
    const isBuiltIn = builtIn.has(key)
    const siblings = [...versions.values()].filter((entry) => entry.group === group).map((entry) => entry.version)
    const rank = siblings.toSorted(compareVersions).toReversed().indexOf(version)
    return {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: {
        name: apiServiceName(group, version),
        labels: { [AUTO_MANAGED_LABEL]: isBuiltIn ? 'onstart' : 'true' },
      },
      spec: {
        ...(group === '' ? {} : { group }),
        version,
        groupPriorityMinimum: isBuiltIn
          ? BUILT_IN_PRIORITY_MAX - groups.indexOf(group) * GROUP_PRIORITY_STEP
          : CUSTOM_PRIORITY.group,
        versionPriority: isBuiltIn ? 1 + rank : CUSTOM_PRIORITY.version,
      },
      status: { conditions: [available(true, now)] },
    }
  })
}

async function reconcileApiServices(core: ApiServerCore, builtIn: ReadonlySet<string>): Promise<void> {
  const { reader, client, clock } = core
  const now = formatTime(clock.now())
  const wanted = planLocalApiServices(
    core.registry.list().map(({ info }) => info),
    builtIn,
    now,
  )
  const names = new Set(wanted.map(({ metadata }) => metadata.name))
  const existing = reader.list(apiservices)
  const known = new Set(existing.map(({ metadata }) => metadata.name))
  const writes = wanted
    .filter(({ metadata }) => !known.has(metadata.name ?? ''))
    .map(async (service) => {
      const created = await client.create(apiservices, service)
      await client.updateStatus(apiservices, { ...created, status: service.status })
    })
  for (const service of existing) {
    const { metadata, spec } = service
    if (spec?.service !== undefined) {
      if (service.status?.conditions === undefined) writes.push(writeStatus(core, service, available(false, now)))
    } else if (!names.has(metadata.name) && metadata.labels?.[AUTO_MANAGED_LABEL] === 'true') {
      writes.push(removeService(core, metadata.name))
    } else if (service.status?.conditions === undefined && names.has(metadata.name)) {
      writes.push(writeStatus(core, service, available(true, now)))
    }
  }
  for (const result of await Promise.allSettled(writes)) {
    if (result.status === 'fulfilled') continue
    const error: unknown = result.reason
    const isRace = isStatus(error, 'Conflict') || isStatus(error, 'AlreadyExists') || isStatus(error, 'NotFound')
    if (!isRace) throw error
  }
}

async function removeService({ client }: ApiServerCore, name: string): Promise<void> {
  await client.delete(apiservices, { name })
}

type ApiServiceCondition = NonNullable<NonNullable<APIService['status']>['conditions']>[number]

async function writeStatus(
  { client }: ApiServerCore,
  service: APIService,
  condition: ApiServiceCondition,
): Promise<void> {
  await client.updateStatus(apiservices, { ...service, status: { conditions: [condition] } })
}

function available(isLocal: boolean, now: string): ApiServiceCondition {
  if (isLocal) {
    return {
      type: 'Available',
      status: 'True',
      lastTransitionTime: now,
      reason: 'Local',
      message: 'Local APIServices are always available',
    }
  }
  const message =
    'this server does not pass requests on to other API servers yet: use a CustomResourceDefinition instead'
  return { type: 'Available', status: 'False', lastTransitionTime: now, reason: 'AggregationNotSupported', message }
}

interface Work {
  readonly wake: () => void
  close(): Promise<void>
}

/** Runs `run` after each wake-up, one at a time, and once more when something changed meanwhile. */
function createWork({ logger }: ApiServerCore, run: () => Promise<void>): Work {
  const state = { isWanted: false, isClosed: false }
  let running: Promise<void> | undefined
  const loop = async (): Promise<void> => {
    while (state.isWanted && !state.isClosed) {
      state.isWanted = false
      try {
        await run()
      } catch (error) {
        if (!state.isClosed) logger.warn('Could not keep APIServices', { error })
      }
    }
    running = undefined
  }
  return {
    wake() {
      state.isWanted = true
      running ??= Promise.resolve().then(loop)
    },
    async close() {
      state.isClosed = true
      await running
    },
  }
}
