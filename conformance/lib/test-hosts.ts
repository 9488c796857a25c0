import { networkName } from './leftovers.ts'
import { mustRun, run } from './processes.ts'

/** Hosts a network may have: the last octet of their addresses. */
const HOSTS_MAX = 250
/** TEST-NET-2: no real host has these addresses. */
const NETWORK_PREFIX = '198.51.100.'
/** How long a packet waits at a slow link before it is dropped. */
const SLOW_QUEUE_MS = 2_000
/** What a slow link lets through at once: one full frame after segmentation offload. */
const SLOW_BURST_BYTES = 65_536
/** What was seen in outer headers of tunnels (RFC 8926), by port. */
const TUNNELS = `
  table bridge tunnels {
    set seen { type ifname . dscp; flags dynamic; size 4096; }
    chain ways { type filter hook forward priority -1; udp dport 6081 add @seen { iifname . ip dscp }; }
  }`
/** Ways on which the switch drops what it gets. */
const BLOCKS = `
  table bridge faults {
    set blocked { type ifname . ifname; }
    chain ways { type filter hook forward priority 0; iifname . oifname @blocked drop; }
  }`

/** One machine of a pretended network: a network namespace with one cable to a common switch. */
export interface TestHost {
  readonly name: string
  readonly address: string
  /** Prefix that runs a command there. */
  readonly enter: readonly string[]
  /** Pulls the cable: nothing comes in or out, and no side is told. */
  cut(): Promise<void>
  /** Plugs it in again. */
  heal(): Promise<void>
  /** Lets no more than this come in, on top of which come queues of up to {@link SLOW_QUEUE_MS}. */
  slowDown(kilobitsPerSecond: number): Promise<void>
  speedUp(): Promise<void>
}

/** The way from one host to another; the way back is another one. */
export interface NetworkWay {
  readonly from: string
  readonly to: string
}

/** A network of namespaces on one switch, which is a namespace too. */
export interface TestNetwork {
  host(name: string): TestHost
  /** Drops on these ways whatever is sent; no side is told. Ways that are blocked already stay so. */
  block(ways: readonly NetworkWay[]): Promise<void>
  unblock(ways: readonly NetworkWay[]): Promise<void>
  /** DSCPs of outer headers that came out of a host's tunnels to others since this was asked before. */
  tunnelDscps(name: string): Promise<number[]>
  remove(): Promise<void>
}

/** Makes the hosts `names`, each of which reaches all others. Needs root. Nothing of it touches the machine's own network. */
export async function createTestNetwork(label: string, names: readonly string[]): Promise<TestNetwork> {
  if (names.length > HOSTS_MAX) throw new Error(`Cannot make ${names.length} hosts: there may be ${HOSTS_MAX}`)
  const hub = networkName(`${label}-switch`)
  const namespaces = [hub]
  const remove = async (): Promise<void> => {
    for (const namespace of namespaces) await run(['ip', 'netns', 'delete', namespace])
  }
  try {
    await mustRun(['ip', 'netns', 'add', hub])
    await mustRun(['ip', '-n', hub, 'link', 'add', 'switch', 'type', 'bridge'])
    await mustRun(['ip', '-n', hub, 'link', 'set', 'switch', 'up'])
    await mustRun(['nsenter', `--net=/run/netns/${hub}`, 'nft', '-f', '-'], { input: BLOCKS + TUNNELS })
    const hosts = new Map<string, TestHost>()
    for (const [index, name] of names.entries()) {
      const namespace = networkName(`${label}-${name}`)
      namespaces.push(namespace)
      hosts.set(name, await addHost({ hub, namespace, name, index }))
    }
    const change = async (verbs: readonly string[], ways: readonly NetworkWay[]): Promise<void> => {
      const pairs = ways.map(({ from, to }) => `"${portOf(names, from)}" . "${portOf(names, to)}"`)
      if (pairs.length === 0) return
      const input = verbs.map((verb) => `${verb} element bridge faults blocked { ${pairs.join(', ')} }\n`).join('')
      await mustRun(['nsenter', `--net=/run/netns/${hub}`, 'nft', '-f', '-'], { input })
    }
    return {
      host(name) {
        const host = hosts.get(name)
        if (host === undefined) throw unknownHost(names, name)
        return host
      },
      block: (ways) => change(['add'], ways),
      // Only what is there can be deleted.
      unblock: (ways) => change(['add', 'delete'], ways),
      async tunnelDscps(name) {
        const port = portOf(names, name)
        const atSwitch = ['nsenter', `--net=/run/netns/${hub}`, 'nft']
        const listed = await mustRun([...atSwitch, '--json', '--numeric', 'list', 'set', 'bridge', 'tunnels', 'seen'])
        await mustRun([...atSwitch, 'flush', 'set', 'bridge', 'tunnels', 'seen'])
        return parseSeen(listed)
          .filter(([from]) => from === port)
          .map(([, dscp]) => dscp)
          .toSorted((a, b) => a - b)
      },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

function portOf(names: readonly string[], name: string): string {
  const index = names.indexOf(name)
  if (index < 0) throw unknownHost(names, name)
  return `port${index}`
}

/** Pairs of a port and a DSCP, as nft lists them. */
function parseSeen(listed: string): [port: string, dscp: number][] {
  const { nftables } = JSON.parse(listed) as {
    readonly nftables: readonly { readonly set?: { readonly elem?: readonly SeenElement[] } }[]
  }
  const elements = nftables.flatMap(({ set }) => set?.elem ?? [])
  return elements.map((element) => ('elem' in element ? element.elem.val.concat : element.concat))
}

interface SeenPair {
  readonly concat: [port: string, dscp: number]
}
type SeenElement = SeenPair | { readonly elem: { readonly val: SeenPair } }

function unknownHost(names: readonly string[], name: string): Error {
  return new Error(`There is no host "${name}"; there are: ${names.join(', ')}`)
}

interface HostPlace {
  readonly hub: string
  readonly namespace: string
  readonly name: string
  readonly index: number
}

async function addHost({ hub, namespace, name, index }: HostPlace): Promise<TestHost> {
  const address = `${NETWORK_PREFIX}${index + 1}`
  const port = `port${index}`
  const inside = (...args: string[]): Promise<string> => mustRun(['ip', '-n', namespace, ...args])
  const atSwitch = (...args: string[]): Promise<string> => mustRun(['ip', '-n', hub, ...args])
  await mustRun(['ip', 'netns', 'add', namespace])
  await inside('link', 'set', 'lo', 'up')
  await inside('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', hub)
  await inside('address', 'add', `${address}/24`, 'dev', 'eth0')
  await inside('link', 'set', 'eth0', 'up')
  await inside('route', 'add', 'default', 'dev', 'eth0')
  await atSwitch('link', 'set', port, 'master', 'switch')
  await atSwitch('link', 'set', port, 'up')
  return {
    name,
    address,
    enter: ['nsenter', `--net=/run/netns/${namespace}`],
    // Off the switch and not down: the host's own device stays up, as with a fault somewhere on the way.
    cut: async () => void (await atSwitch('link', 'set', port, 'nomaster')),
    heal: async () => void (await atSwitch('link', 'set', port, 'master', 'switch')),
    async slowDown(kilobitsPerSecond) {
      const limits = [
        'rate',
        `${kilobitsPerSecond}kbit`,
        'burst',
        String(SLOW_BURST_BYTES),
        'latency',
        `${SLOW_QUEUE_MS}ms`,
      ]
      await mustRun(['tc', '-n', hub, 'qdisc', 'replace', 'dev', port, 'root', 'tbf', ...limits])
    },
    speedUp: async () => void (await mustRun(['tc', '-n', hub, 'qdisc', 'delete', 'dev', port, 'root'])),
  }
}
