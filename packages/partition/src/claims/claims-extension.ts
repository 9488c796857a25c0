import { badRequest, forbidden, StatusError, SYSTEM_TENANT } from '@centaurus/api'
import { decodeText } from '@centaurus/base'
import type { AuthorizationAttributes, CreateExtension, Exchange, RequestContext } from '@centaurus/apiserver'
import type { Store } from '@centaurus/store'
import type { StoreState } from '../epoch/check-peer.ts'
import type { Membership } from '../membership/membership.ts'
import { memberOf, requireMember } from '../membership/require-member.ts'
import { ClaimReleaser } from './claim-releaser.ts'
import { ClaimResizer } from './claim-resizer.ts'
import { LocalReconciler } from './local-reconciler.ts'
import { AllocationStreams } from './allocation-stream.ts'
import type { ClaimBook } from './claim-book.ts'
import { parseClaimsRequest, type HeldClaim, type HeldClaimsLine } from './model.ts'
import { MirrorClaims } from './mirror-claims.ts'
import { nodeAllocationDefinitions } from './node-allocations.ts'
import { NominationKeeper } from './nomination-keeper.ts'
import { followNodes } from './node-capacity.ts'

export const CLAIMS_PATH = '/partition/v1/claims'
export const ALLOCATIONS_PATH = '/partition/v1/allocations'
const HELD_CLAIMS_A_LINE = 1_000
/** A full request of long names stays below. */
const BODY_BYTES_MAX = 3 * 1024 * 1024

export interface ClaimsExtensionDeps {
  /** Not started: the extension does. */
  readonly claims: ClaimBook
  /** Partitions that it does not know may not claim. */
  readonly membership: Pick<Membership, 'get' | 'self' | 'hosts' | 'tenants' | 'onChange'>
  readonly store: Store
  /** Identity and present revision of this partition's store, told to whoever follows the allocations. */
  readonly storeState?: (() => Promise<StoreState>) | undefined
  /** Why a tenant partition is not believed at the moment; undefined: it is. */
  readonly whyFenced?: ((partition: string) => string | undefined) | undefined
}

/**
 * Serves the claims of a resource partition to the other partitions of the cluster: {@link CLAIMS_PATH} and {@link ALLOCATIONS_PATH}; and
 * keeps the book's nodes what this partition's own nodes say.
 */
export function createClaimsExtension(deps: ClaimsExtensionDeps): CreateExtension {
  const { claims } = deps
  return ({ registry, reader, client, clock, logger }) => {
    registry.change({ added: nodeAllocationDefinitions(claims.ledger, reader) })
    const streams = new AllocationStreams(claims, clock)
    const running: (() => void | Promise<void>)[] = []
    return {
      authorizer: {
        authorize: (asked) => ({ allowed: memberOf(asked.user) !== undefined && isForMembers(asked), reason: '' }),
      },
      routes: [
        {
          path: CLAIMS_PATH,
          methods: ['GET', 'POST'],
          handle: (exchange, context) =>
            exchange.method === 'GET' ? serveHeld(deps, exchange, context) : serveClaims(deps, exchange, context),
        },
        {
          path: ALLOCATIONS_PATH,
          methods: ['GET'],
          async handle(exchange, context) {
            const member = requireKnownMember(deps, context)
            await streams.serve(exchange, member, await deps.storeState?.())
          },
        },
      ],
      readiness: {
        claims: () => {
          if (!claims.live) throw new Error('claims are not loaded')
        },
      },
      async start() {
        await claims.start()
        running.push(followNodes(reader, claims.ledger))
        const resizer = new ClaimResizer({ claims, clock, logger })
        running.push(() => resizer.close())
        const releaser = new ClaimReleaser({ claims, reader, resizer, clock, logger })
        running.push(() => releaser.close())
        void releaser.sweep()
        const { self } = deps.membership
        const mirrors = new MirrorClaims({ claims, self, reader, clock, logger })
        running.push(() => mirrors.close())
        const reconciler = new LocalReconciler({ ...deps, reader, client, clock, logger })
        running.push(() => reconciler.close())
        const keeper = new NominationKeeper({ claims, clock, logger })
        running.push(() => keeper.close())
      },
      drain: () => streams.close(),
      async close() {
        for (const stop of running) await stop()
        await claims.close()
      },
    }
  }
}

/** Claims, and the nodes that they are about. */
function isForMembers({ isResourceRequest, path, ...asked }: AuthorizationAttributes): boolean {
  if (!isResourceRequest) return path === CLAIMS_PATH || path === ALLOCATIONS_PATH
  const isNodes = asked.tenant === SYSTEM_TENANT && asked.group === '' && asked.resource === 'nodes'
  return isNodes && asked.subresource === '' && ['get', 'list', 'watch'].includes(asked.verb)
}

async function serveClaims(deps: ClaimsExtensionDeps, exchange: Exchange, context: RequestContext): Promise<void> {
  const member = requireKnownMember(deps, context)
  const request = parseClaimsRequest(parseJson(await exchange.readBody(BODY_BYTES_MAX)))
  if (request.partition !== member) {
    throw forbidden({ group: '', resource: 'claims' }, request.partition, `you are partition "${member}"`)
  }
  const why = deps.whyFenced?.(member)
  if (why !== undefined) {
    const causes = [{ reason: 'Fenced', message: why }]
    throw new StatusError({
      reason: 'Conflict',
      message: `partition "${member}" is fenced: ${why}`,
      details: { causes },
    })
  }
  const response = await deps.claims.submit(request)
  exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify(response))
}

/** Lines of what the caller holds since an epoch. */
async function serveHeld(deps: ClaimsExtensionDeps, exchange: Exchange, context: RequestContext): Promise<void> {
  const member = requireKnownMember(deps, context)
  const epoch = Number(exchange.query.get('epoch') ?? '')
  if (!Number.isSafeInteger(epoch)) throw badRequest('epoch: must be a whole number')
  await deps.claims.whenCurrent()
  exchange.startStream(200, { 'content-type': 'application/x-ndjson' })
  let held: HeldClaim[] = []
  const send = (): void => exchange.write(Buffer.from(`${JSON.stringify({ held } satisfies HeldClaimsLine)}\n`))
  for (const claim of deps.claims.held(member, epoch)) {
    held.push(claim)
    if (held.length < HELD_CLAIMS_A_LINE) continue
    send()
    held = []
    await exchange.drained()
    if (exchange.closed) return
  }
  if (held.length > 0) send()
  exchange.end()
}

function requireKnownMember({ membership }: ClaimsExtensionDeps, context: RequestContext): string {
  const name = requireMember(context)
  if (membership.get(name) === undefined) {
    throw forbidden({ group: 'centaurus.io', resource: 'partitions' }, name, 'it is not a partition of this cluster')
  }
  return name
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(body))
  } catch {
    throw badRequest('the body is not JSON')
  }
}
