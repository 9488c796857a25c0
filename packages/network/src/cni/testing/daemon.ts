/** What {@link startTestDaemon} starts: `node daemon.ts FOLDER POD-CIDR [programs]`. Says `ready`. */
import { join } from 'node:path'
import { createDataplane } from '../../dataplane/create-dataplane.ts'
import { ensureHostNetwork } from '../../host/host-network.ts'
import type { PodNetworkSource } from '../pod-network-source.ts'
import { createDataplaneSource } from './dataplane-source.ts'
import { HostRouteSource } from './host-route-source.ts'
import { serveCni } from './serve-cni.ts'

const [folder, podCIDR, programs] = process.argv.slice(2)
if (folder === undefined || podCIDR === undefined) throw new Error('Name a folder and a range of addresses')
const source = programs === undefined ? new HostRouteSource() : await openPrograms({ folder, podCIDR, programs })
await serveCni({ folder, podCIDR, source })
process.stdout.write('ready\n')

async function openPrograms(options: { folder: string; podCIDR: string; programs: string }): Promise<PodNetworkSource> {
  const host = await ensureHostNetwork({
    podCIDR: options.podCIDR,
    podNetworks: [options.podCIDR],
    serviceCIDRs: [],
    stateDir: options.folder,
    hostPorts: [],
  })
  return createDataplaneSource(
    createDataplane({
      programs: options.programs,
      bpffs: join(options.folder, 'bpf'),
      nodeIP: host.nodeIP,
      hostDevice: { ifindex: host.ifindex, address: host.address },
      uplinks: [],
      podMtu: host.podMtu,
      attach: 'tcx',
    }),
  )
}
