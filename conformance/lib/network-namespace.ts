import { networkName } from './leftovers.ts'
import { mustRun, run } from './processes.ts'

/** A network of the test's own, with one device that looks like a host's. */
export interface NetworkNamespace {
  readonly name: string
  /** Address of the host in it. */
  readonly address: string
  /** Prefix that runs a command in it. `nsenter` keeps /sys, which `ip netns exec` would replace. */
  readonly enter: readonly string[]
  remove(): Promise<void>
}

const ADDRESS = '192.0.2.10'

/** Makes a namespace with loopback and a device `eth0` (192.0.2.10/24, TEST-NET-1) that leads nowhere. Needs root. */
export async function createNetworkNamespace(label: string): Promise<NetworkNamespace> {
  const name = networkName(label)
  await mustRun(['ip', 'netns', 'add', name])
  const inside = (...args: string[]): Promise<string> => mustRun(['ip', '-n', name, ...args])
  await inside('link', 'set', 'lo', 'up')
  await inside('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0-peer')
  await inside('address', 'add', `${ADDRESS}/24`, 'dev', 'eth0')
  await inside('link', 'set', 'eth0', 'up')
  await inside('link', 'set', 'eth0-peer', 'up')
  await inside('route', 'add', 'default', 'dev', 'eth0')
  return {
    name,
    address: ADDRESS,
    enter: ['nsenter', `--net=/run/netns/${name}`],
    async remove() {
      await run(['ip', 'netns', 'delete', name])
    },
  }
}
