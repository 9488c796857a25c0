import { ALL_TENANTS } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { Backend, Outgoing } from '../backend.ts'
import { LOCATIONS_MAX } from '../limits.ts'
import { unreachable } from '../refusals.ts'
import type { Target } from '../target.ts'

export interface LocationsDeps {
  readonly backendOf: (partition: string) => Backend | undefined
  readonly logger: Logger
}

export interface LocateOptions {
  readonly partitions: readonly string[]
  /** `remembered`: what was found before will do, because the answer will tell when it is wrong. `checked`: ask. */
  readonly trust: 'remembered' | 'checked'
  /** As whom to ask; absent: as the gateway, which may look for what belongs to nodes alone. */
  readonly as?: Pick<Outgoing, 'headers' | 'credentials'> | undefined
}

/** Smallest form of an object that there is. */
const ACCEPT_METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
/** Kinds that have an object of the same name a node, and belong where the node is. */
const OF_NODES = new Set(['storage.k8s.io/csinodes', 'coordination.k8s.io/leases'])

type Asker = NonNullable<LocateOptions['as']>
const GATEWAY_ITSELF: Asker = { headers: { 'user-agent': 'centaurus-gateway' }, credentials: 'gateway' }

/** Finds which partition has an object, by asking all of them, and remembers. */
export class Locations {
  readonly #deps: LocationsDeps
  readonly #known = new Map<string, string>()
  readonly #asking = new Map<string, Promise<string | undefined>>()

  constructor(deps: LocationsDeps) {
    this.#deps = deps
  }

  /**
   * The partition that has the object; undefined when none of them has it. Fails closed: throws ServiceUnavailable when it was not found
   * and a partition can't be asked.
   */
  async find(target: Target, options: LocateOptions): Promise<string | undefined> {
    const found = await this.#locate(objectPath(target), options)
    if (found !== undefined || !OF_NODES.has(`${target.group}/${target.resource}`)) return found
    const prefix = target.tenant === ALL_TENANTS ? TENANT_PREFIX : ''
    return this.#locate(`${prefix}/api/v1/nodes/${encodeURIComponent(target.name)}`, options)
  }

  /** After an answer that showed that it is not there any more. */
  forget(target: Target): void {
    this.#known.delete(objectPath(target))
  }

  async #locate(path: string, options: LocateOptions): Promise<string | undefined> {
    const { partitions, trust, as = GATEWAY_ITSELF } = options
    const known = this.#known.get(path)
    if (known !== undefined && partitions.includes(known)) {
      if (trust === 'remembered') return known
      if ((await this.#ask(known, path, as)) === 'here') return known
    }
    let asking = this.#asking.get(path)
    if (asking === undefined) {
      asking = this.#askAll(path, partitions, as).finally(() => this.#asking.delete(path))
      this.#asking.set(path, asking)
    }
    return asking
  }

  async #askAll(path: string, partitions: readonly string[], as: Asker): Promise<string | undefined> {
    const answers = await Promise.all(partitions.map((partition) => this.#ask(partition, path, as)))
    const found = partitions[answers.indexOf('here')]
    this.#known.delete(path)
    if (found !== undefined) {
      if (this.#known.size >= LOCATIONS_MAX) this.#known.delete(this.#known.keys().next().value ?? '')
      this.#known.set(path, found)
      return found
    }
    const silent = partitions.filter((_, i) => answers[i] === 'unknown')
    if (silent.length > 0) throw unreachable(silent)
    return undefined
  }

  async #ask(partition: string, path: string, { headers, credentials }: Asker): Promise<'here' | 'absent' | 'unknown'> {
    const backend = this.#deps.backendOf(partition)
    if (backend === undefined) return 'unknown'
    const own = { ...headers, accept: ACCEPT_METADATA }
    try {
      const { status, stream } = await backend.send({ method: 'GET', path, headers: own, credentials })
      stream.resume()
      if (status === 200) return 'here'
      if (status === 404) return 'absent'
      this.#deps.logger.warn('Could not look for an object', { partition, path, status })
      return 'unknown'
    } catch {
      return 'unknown'
    }
  }
}

const TENANT_PREFIX = `/tenants/${ALL_TENANTS}`

/** Path of the object itself, whatever of it is asked for. */
export function objectPath(target: Target): string {
  const { tenant, group, version, namespace, resource, subresource } = target
  const isNodeProxy = resource === 'nodes' && subresource === 'proxy'
  const name = isNodeProxy ? nodeOfProxy(target.name) : target.name
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const inside = namespace === '' || resource === 'namespaces' ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  const prefix = tenant === ALL_TENANTS ? TENANT_PREFIX : ''
  return `${prefix}${root}${inside}/${encodeURIComponent(resource)}/${encodeURIComponent(name)}`
}

/** `name`, `name:port` or `scheme:name:port`. Source: apimachinery pkg/util/net SplitSchemeNamePort. */
function nodeOfProxy(id: string): string {
  const parts = id.split(':')
  return (parts.length === 3 ? parts[1] : parts[0]) ?? id
}
