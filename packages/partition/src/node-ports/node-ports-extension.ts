import { forbidden, ORIGIN_ANNOTATION, qualifyName, type Stored } from '@centaurus/api'
import type { Service } from '@centaurus/api/core/v1'
import { portsOf, type CreateExtension, type StoredObjects } from '@centaurus/apiserver'
import { requireMember } from '../membership/require-member.ts'
import { NODE_PORTS_PATH, parseQuestion } from './model.ts'
import type { NodePorts } from './node-ports.ts'

const SERVICES = 'core/services'
/** All node ports, with brackets and commas, stay below. */
const BODY_BYTES_MAX = 64 * 1024

/** Answers other partitions about node ports: {@link NODE_PORTS_PATH}. */
export function createNodePortsExtension(nodePorts: NodePorts): CreateExtension {
  return ({ stored }) => ({
    routes: [
      {
        path: NODE_PORTS_PATH,
        methods: ['POST'],
        async handle(exchange, context) {
          const name = requireMember(context)
          const uid = nodePorts.membership.get(name)?.metadata.uid
          if (uid === undefined) {
            const what = { group: 'centaurus.io', resource: 'partitions' }
            throw forbidden(what, name, 'it is not a partition of this cluster')
          }
          const question = parseQuestion(await exchange.readBody(BODY_BYTES_MAX))
          const answer = await nodePorts.answer({ name, uid }, question, () => findUsedPorts(stored))
          exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify(answer))
        },
      },
    ],
    close: () => nodePorts.close(),
  })
}

/** Reads all Services: for the rare case that a partition has left. */
export function findUsedPorts(stored: Pick<StoredObjects, 'tenants' | 'list'>): ReadonlyMap<number, string> {
  const found = new Map<number, string>()
  for (const tenant of stored.tenants()) {
    for (const entry of stored.list(tenant, SERVICES)) {
      const { metadata, spec } = entry.object() as Stored<Service>
      if (metadata.annotations?.[ORIGIN_ANNOTATION] !== undefined) continue
      const owner = `${qualifyName(metadata.namespace ?? '', tenant)}/${metadata.name}`
      for (const port of portsOf(spec)) found.set(port, owner)
    }
  }
  return found
}
