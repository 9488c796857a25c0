import { InvalidArgumentError, type Command } from 'commander'
import type { NodeNetworkOptions } from './commands/node-network.ts'
import { openHome } from './home.ts'
import { formatNodes } from './settings.ts'

interface KubeconfigFlags {
  readonly partition?: string
  readonly server?: string
}

const SECONDS_OF_UNIT: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `centaurus node …`; the commands are loaded when they run. */
export function addNodeCommands(program: Command): void {
  const node = program.command('node').description('machines that run pods with a kubelet of their own')
  node
    .command('run', { hidden: true, isDefault: true })
    .description(`run the node agents in the foreground (${formatNodes({ type: 'local' })} or simulated, as set up)`)
    .action(async () => (await import('./commands/node.ts')).runNode(openHome()))
  addTarget(
    node
      .command('kubeconfig')
      .description("print a kubelet's --kubeconfig: a client certificate for one node")
      .argument('<name>', 'of the node'),
  ).action(async (name: string, flags: KubeconfigFlags) =>
    (await import('./commands/node-kubeconfig.ts')).printNodeKubeconfig(openHome(), name, flags),
  )
  addTarget(
    node
      .command('kube-proxy-kubeconfig')
      .description("print a kube-proxy's kubeconfig: one for all nodes of a partition"),
  ).action(async (flags: KubeconfigFlags) =>
    (await import('./commands/node-kubeconfig.ts')).printProxyKubeconfig(openHome(), flags),
  )
  addNetwork(node)
  addTarget(
    node
      .command('bootstrap-kubeconfig')
      .description("print a kubelet's --bootstrap-kubeconfig: a token by which any machine becomes a node"),
  )
    .option('--ttl <time>', 'how long it is good for, such as 30m or 7d', parseSeconds, parseSeconds('24h'))
    .action(async ({ ttl, ...flags }: KubeconfigFlags & { readonly ttl: number }) =>
      (await import('./commands/node-kubeconfig.ts')).printBootstrapKubeconfig(openHome(), {
        ...flags,
        ttlSeconds: ttl,
      }),
    )
}

function addNetwork(node: Command): void {
  node
    .command('network')
    .description("run the pod network of a machine with a kubelet of upstream's in the foreground (docs/nodes.md)")
    .option('--kubeconfig <file>', 'what node kubeconfig printed for it')
    .option('--proxy-kubeconfig <file>', 'what node kube-proxy-kubeconfig printed')
    .option('--name <name>', "of the node (default: this machine's)")
    .option(
      '--container-runtime-endpoint <url>',
      'where its container runtime listens',
      'unix:///run/containerd/containerd.sock',
    )
    .option('--cni-bin-dir <folder>', 'where its container runtime looks for CNI plugins', '/opt/cni/bin')
    .option('--cni-conf-dir <folder>', 'where it looks for their configuration', '/etc/cni/net.d')
    .option('--remove', 'take the network off this machine')
    .action(async (options: NodeNetworkOptions) =>
      (await import('./commands/node-network.ts')).runNodeNetwork(openHome(), options),
    )
}

function addTarget(command: Command): Command {
  return command
    .option('--partition <name>', 'where the node is to belong (default: the only one that has nodes)')
    .option('--server <url>', 'address of its API server')
}

/** `90s`, `30m`, `24h` or `7d`. */
function parseSeconds(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = Number(count) * (SECONDS_OF_UNIT[unit] ?? 0)
  if (!(seconds > 0)) throw new InvalidArgumentError('It must be a number and s, m, h or d, such as 24h')
  return seconds
}
