/**
 * Firewalls of hosts, and Docker, drop what is forwarded unless a rule of theirs lets it through, and no table of ours can let through what another one drops. So
 * two rules of ours stand in that chain, as every Kubernetes network has them there. They carry our name, by which they are found again.
 */
import { HOST_DEVICE } from './host-plan.ts'
import { CommandError, runCommand } from './run-command.ts'

/** The chain that iptables keeps, by which Docker, ufw and others work. */
const CHAIN = 'ip filter FORWARD'
const COMMENT = 'centaurus-network'
const MATCHES = ['iifname', 'oifname'] as const

/** What `nft -json list chain` says, as far as we look at it. */
interface ListedChain {
  readonly nftables: readonly {
    readonly chain?: { readonly policy?: string }
    readonly rule?: {
      readonly handle: number
      readonly comment?: string
      readonly expr: readonly { readonly match?: { readonly left?: { readonly meta?: { readonly key?: string } } } }[]
    }
  }[]
}

/** Lets pods' packets through a firewall that drops what it does not know. Does nothing when there is none. */
export async function allowForwarding(): Promise<void> {
  const chain = await listChain()
  const missing = chain === undefined ? [] : planForwardRules(chain)
  if (missing.length > 0) await runCommand(['nft', '-f', '-'], `${missing.join('\n')}\n`)
}

/** Takes the rules away again. */
export async function removeForwardRules(): Promise<void> {
  const rules = (await listChain())?.nftables.flatMap(({ rule }) => (rule?.comment === COMMENT ? [rule] : [])) ?? []
  const lines = rules.map(({ handle }) => `delete rule ${CHAIN} handle ${handle}\n`)
  if (lines.length > 0) await runCommand(['nft', '-f', '-'], lines.join(''))
}

/** The rules that are to be added. Pure. */
export function planForwardRules({ nftables }: ListedChain): string[] {
  if (!nftables.some(({ chain }) => chain?.policy === 'drop')) return []
  const present = nftables
    .flatMap(({ rule }) => (rule?.comment === COMMENT ? rule.expr : []))
    .map(({ match }) => match?.left?.meta?.key)
  return MATCHES.filter((key) => !present.includes(key)).map(
    (key) => `insert rule ${CHAIN} ${key} "${HOST_DEVICE}" counter accept comment "${COMMENT}"`,
  )
}

async function listChain(): Promise<ListedChain | undefined> {
  try {
    return JSON.parse(await runCommand(['nft', '-json', 'list', 'chain', ...CHAIN.split(' ')])) as ListedChain
  } catch (error) {
    if (error instanceof CommandError && /No such file or directory/.test(error.stderr)) return undefined
    throw error
  }
}
