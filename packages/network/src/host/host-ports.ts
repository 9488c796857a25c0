import { formatHostPortChange, NAT_TABLE, type OpenHostPort } from './nat-table.ts'
import { CommandError, runCommand } from './run-command.ts'

/** What nft says when a table, map or element is not there. */
const NOT_THERE = /No such file or directory/

/** Leads ports of the host to a pod, in one step. Rejects with what to do when the table is gone, or when a port leads to another pod. */
export async function openHostPorts(ports: readonly OpenHostPort[]): Promise<void> {
  if (ports.length === 0) return
  try {
    await runCommand(['nft', '-f', '-'], formatHostPortChange('add', ports))
  } catch (error) {
    if (!(error instanceof CommandError && NOT_THERE.test(error.stderr))) throw error
    throw new Error(
      `Cannot open host ports: the nftables table "${NAT_TABLE}" was removed; restart the network daemon`,
      {
        cause: error,
      },
    )
  }
  for (const port of ports) if (port.protocol === 'udp') await forgetFlows(port)
}

/** Closes ports. Does nothing for those that are closed. */
export async function closeHostPorts(ports: readonly OpenHostPort[]): Promise<void> {
  for (const port of ports) {
    try {
      await runCommand(['nft', '-f', '-'], formatHostPortChange('delete', [port]))
    } catch (error) {
      if (!(error instanceof CommandError && NOT_THERE.test(error.stderr))) throw error
    }
  }
}

/**
 * A client that goes on sending from the same port keeps its flow to the pod that had the port before.
 * Source: containernetworking/plugins portmap, deletePortmapStaleConnections.
 */
async function forgetFlows({ hostIP, hostPort }: OpenHostPort): Promise<void> {
  const at = hostIP === undefined ? [] : ['--orig-dst', hostIP]
  try {
    await runCommand(['conntrack', '-D', '-p', 'udp', '--orig-port-dst', String(hostPort), ...at])
  } catch (error) {
    if (!(error instanceof CommandError && /0 flow entries/.test(error.stderr))) throw error
  }
}
