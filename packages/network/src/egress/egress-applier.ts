import { isDeepStrictEqual } from 'node:util'
import type { Logger } from '@centaurus/base'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { runCommand } from '../host/run-command.ts'
import { EGRESS_TABLE, formatEgressTable } from './egress-rules.ts'
import { ownBlockKey, planAliases, type OwnBlock } from './plan-aliases.ts'
import type { EgressPlan } from './plan-egress.ts'

export interface EgressApplierDeps {
  readonly dataplane: Pick<
    Dataplane,
    'setEgress' | 'removeEgress' | 'listEgresses' | 'setAlias' | 'removeAlias' | 'listAliases'
  >
  readonly nodeName: string
  readonly logger: Logger
}

/** Writes plans to the kernel, as far as they differ from what is there. */
export class EgressApplier {
  readonly #deps: EgressApplierDeps
  readonly #known: Map<number, ReturnType<Dataplane['listEgresses']>[number]>
  readonly #aliases: Map<string, ReturnType<Dataplane['listAliases']>[number]>
  /** Undefined: nobody knows what an earlier daemon left. */
  #rules: string | undefined
  #without = 0

  /** Takes over what an earlier daemon left. */
  constructor(deps: EgressApplierDeps) {
    this.#deps = deps
    this.#known = new Map(deps.dataplane.listEgresses().map((egress) => [egress.vni, egress]))
    this.#aliases = new Map(deps.dataplane.listAliases().map((alias) => [ownBlockKey(alias), alias]))
  }

  /** Who is here is in the host's table before packets come for it, and as long as they do. */
  async apply({ egresses, sources, blocks }: EgressPlan): Promise<void> {
    const { dataplane } = this.#deps
    for (const vni of this.#known.keys()) {
      if (egresses.has(vni)) continue
      dataplane.removeEgress(vni)
      this.#known.delete(vni)
    }
    this.#applyAliases(blocks)
    const text = formatEgressTable(sources)
    if (text !== this.#rules && (this.#rules !== undefined || sources.size > 0 || (await hasEgressTable()))) {
      await runCommand(['nft', '-f', '-'], text)
      this.#rules = text
    }
    for (const [vni, egress] of egresses) {
      if (isDeepStrictEqual(this.#known.get(vni), egress)) continue
      dataplane.setEgress(egress)
      this.#known.set(vni, egress)
    }
  }

  #applyAliases(blocks: readonly OwnBlock[]): void {
    const { dataplane, logger, nodeName } = this.#deps
    const { aliases, without } = planAliases(blocks, this.#aliases.values())
    for (const [key, alias] of this.#aliases) {
      if (aliases.has(key)) continue
      dataplane.removeAlias(alias)
      this.#aliases.delete(key)
    }
    for (const [key, alias] of aliases) {
      if (this.#aliases.has(key)) continue
      dataplane.setAlias(alias)
      this.#aliases.set(key, alias)
    }
    if (without.length > 0 && this.#without === 0)
      logger.error('Pods of some blocks can’t reach the world by this host: it has too many networks to send for', {
        node: nodeName,
        blocks: without.length,
      })
    this.#without = without.length
  }
}

async function hasEgressTable(): Promise<boolean> {
  return (await runCommand(['nft', 'list', 'tables', 'ip'])).split('\n').includes(`table ip ${EGRESS_TABLE}`)
}
