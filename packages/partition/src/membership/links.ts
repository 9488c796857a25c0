import type { Partition } from '@centaurus/api/centaurus/v1'
import type { Membership } from './membership.ts'
import type { OpenLink, PartitionLink } from './partition-link.ts'

interface OpenedLink {
  readonly endpoints: string
  readonly link: PartitionLink
}

/** One link a partition, opened when it is first needed, and anew when the partition has other addresses. */
export class Links {
  readonly #membership: Pick<Membership, 'get'>
  readonly #openLink: OpenLink
  readonly #links = new Map<string, OpenedLink>()

  constructor(membership: Pick<Membership, 'get'>, openLink: OpenLink) {
    this.#membership = membership
    this.#openLink = openLink
  }

  /** Calls to a partition that the registry does not know fail. */
  of(name: string): PartitionLink {
    const partition = this.#membership.get(name) ?? nowhere(name)
    const endpoints = partition.spec.endpoints.join(' ')
    const known = this.#links.get(name)
    if (known?.endpoints === endpoints) return known.link
    void known?.link.close()
    const link = this.#openLink(partition)
    this.#links.set(name, { endpoints, link })
    return link
  }

  async close(): Promise<void> {
    const closing = Array.from(this.#links.values(), ({ link }) => link.close())
    this.#links.clear()
    await Promise.all(closing)
  }
}

/** A partition that the registry does not know has no address: every call fails. */
export function nowhere(name: string): Partition {
  return { metadata: { name }, spec: { roles: ['Tenant'], endpoints: [] } }
}
