import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadKubeconfig, type HttpClientConfig } from '@centaurus/client/http'
import { buildPrograms, formatNetworkList, installIdlePlugins, installPlugins } from '@centaurus/network'
import { createHome, type Home } from '../home.ts'
import { programsFolder, removeNetwork } from '../host-network.ts'
import { cniSocket } from '../network-daemon-client.ts'
import { localNodeName } from '../node-identity.ts'
import { missingPackages, whyNoContainers, whyNoOwnNetwork } from '../prerequisites.ts'
import { UserError } from '../user-error.ts'
import { runNetworkOf } from './network.ts'

export interface NodeNetworkOptions {
  /** What `node kubeconfig` printed, for this node. */
  readonly kubeconfig?: string | undefined
  /** What `node kube-proxy-kubeconfig` printed. */
  readonly proxyKubeconfig?: string | undefined
  /** Default: this machine's. */
  readonly name?: string | undefined
  readonly containerRuntimeEndpoint: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  /** Take the network off this machine instead. */
  readonly remove?: boolean | undefined
}

/** First in the order of names: runtimes use the first one alone. */
const NETWORK_LIST = '05-centaurus.conflist'
/** Where the sandbox runtime looks if nothing else is said. */
const CHANNEL_SOCKET = '/run/quark-channel.sock'
/** What a kubelet's machine has by other ways. */
const OF_KUBELET = new Set(['containerd', 'runc', 'busybox-static'])

/**
 * Runs the pod network of a machine whose node is a kubelet of upstream's, until told to stop: its container runtime asks our plugin, and Services and names are served
 * without a kube-proxy. Throws {@link UserError}.
 */
export async function runNodeNetwork(home: Home, options: NodeNetworkOptions): Promise<void> {
  const { cniBinDir, cniConfDir, name = localNodeName() } = options
  const why = whyNoContainers() ?? whyNoOwnNetwork()
  if (why !== undefined)
    throw new UserError(`Cannot run the pod network: ${why}. Run this as root, on Linux 6.6 or later`)
  if (options.remove === true) return removeNodeNetwork(home, options)
  const missing = missingPackages('centaurus').filter((each) => !OF_KUBELET.has(each))
  if (missing.length > 0)
    throw new UserError(`Cannot run the pod network: install ${missing.join(', ')} first, such as by apt-get install`)
  const node = await readConfig('--kubeconfig', options.kubeconfig, `node kubeconfig ${name}`)
  const proxy = await readConfig('--proxy-kubeconfig', options.proxyKubeconfig, 'node kube-proxy-kubeconfig')
  createHome(home)
  await buildPrograms({ outDir: programsFolder(home) })
  await installPlugins(cniBinDir, { socket: cniSocket(home), stateDir: home.networkDir })
  mkdirSync(cniConfDir, { recursive: true })
  const file = join(cniConfDir, NETWORK_LIST)
  writeFileSync(`${file}.new`, formatNetworkList())
  renameSync(`${file}.new`, file) // the runtime reads it as soon as it is there
  const { containerRuntimeEndpoint: runtimeEndpoint } = options
  await runNetworkOf(home, { nodeName: name, node, proxy, runtimeEndpoint, channelSocket: CHANNEL_SOCKET })
}

async function removeNodeNetwork(home: Home, { cniBinDir, cniConfDir }: NodeNetworkOptions): Promise<void> {
  rmSync(join(cniConfDir, NETWORK_LIST), { force: true })
  await installIdlePlugins(cniBinDir) // the runtime may still take pods away
  await removeNetwork(home)
  process.stdout.write(
    'The pod network is off this machine. Its pods have none any more: drain the node, or restart them.\n',
  )
}

async function readConfig(flag: string, file: string | undefined, command: string): Promise<HttpClientConfig> {
  const advice = `Where the home of the cluster is, ./centaurus ${command} prints it`
  if (file === undefined) throw new UserError(`Name a kubeconfig by ${flag}. ${advice}`)
  try {
    return (await loadKubeconfig(file)).config
  } catch (cause) {
    const [message] = (cause as Error).message.split('\n')
    throw new UserError(`Cannot use ${flag} ${file}: ${message}. ${advice}`, { cause })
  }
}
