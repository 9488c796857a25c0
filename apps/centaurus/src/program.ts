import { Command } from 'commander'
import { importImage, listImages } from './commands/image.ts'
import { down } from './commands/down.ts'
import { kubectl } from './commands/kubectl.ts'
import { showLogs } from './commands/logs.ts'
import { reset } from './commands/reset.ts'
import { status } from './commands/status.ts'
import { runTests } from './commands/test.ts'
import { up } from './commands/up.ts'
import { DAEMONS } from './daemons.ts'
import { openHome } from './home.ts'
import {
  parseNetwork,
  parseNetworks,
  parseNodes,
  parsePort,
  type NetworkSetting,
  type NodesSetting,
} from './settings.ts'
import { addGatewayCommands } from './gateway-program.ts'
import { addGpuCommands } from './gpu-program.ts'
import { addNetworkCommands } from './network-program.ts'
import { addNodeCommands } from './node-program.ts'
import { addPartitionCommands } from './partition-program.ts'
import { addSandboxCommands } from './sandbox-program.ts'
import { addTenantCommands } from './tenant-program.ts'
import { addSimulate } from './simulate/program.ts'
import { addStoreOptions, readStoreFlags, type StoreOptions } from './store-flags.ts'
import type { StoreFlags } from './store-setting.ts'

/** The command line. Each action is a function of its own under `commands/`; heavy parts are imported when they run. */
export function createProgram(): Command {
  const program = new Command('centaurus')
    .description('A cluster that speaks the Kubernetes API, from one command.')
    .addHelpText('after', HELP)
    .showHelpAfterError('Run ./centaurus --help to see what there is.')
    .enablePositionalOptions()
  addCluster(program)
  addPartitionCommands(program)
  addTenantCommands(program)
  addNodeCommands(program)
  addNetworkCommands(program)
  addGpuCommands(program)
  addSandboxCommands(program)
  addStore(program)
  addImage(program)
  addTools(program)
  addSimulate(program)
  addGatewayCommands(program)
  addDaemons(program)
  return program
}

const HELP = `
Environment:
  CENTAURUS_HOME   folder that holds the cluster (default ~/.centaurus)
  CENTAURUS_DEBUG  1: say where in the program something failed
  CENTAURUS_NVML   library that speaks NVML, in place of libnvidia-ml.so.1 of NVIDIA's driver (docs/gpu.md)

Examples:
  ./centaurus up                          a cluster with real containers on this machine (root)
  ./centaurus up --nodes simulated:5      one with five simulated nodes: no root, no containerd
  ./centaurus kubectl get pods -A         the bundled kubectl, with this cluster's kubeconfig
  ./centaurus down && ./centaurus up      everything that was acknowledged is still there`

function addCluster(program: Command): void {
  const upCommand = program
    .command('up')
    .description('start the cluster, setting up what is missing; safe to run again')
    .option('--port <port>', 'port of the API server (default 6443)', parsePort)
    .option('--nodes <kind>', 'local, simulated:N or none (default local)', parseNodes)
    .option(
      '--network <kind>',
      'of real containers: centaurus (policies, tenants apart, in eBPF) or bridge (default centaurus)',
      parseNetwork,
    )
    .option(
      '--simulated-gpus <file>',
      'GPUs that nodes of this machine pretend to have, as docs/gpu.md says; none: those that it has (default)',
    )
    .option(
      '--kubelet-dir <folder>',
      'serve device plugins there too, such as /var/lib/kubelet where those of others look; or none (default)',
    )
    .option('--listen <address>', 'listen on this address alone')
    .option('--advertise <address>', 'how others reach the API server (default: the address of this machine)')
    .option(
      '--tenant-webhook-networks <cidrs>',
      "networks that tenants' webhooks may lead to beside public addresses (default: none)",
      parseNetworks,
    )
    .option(
      '--join <file>',
      'run a partition of another cluster here, from what ./centaurus partition add --join-bundle wrote',
    )
  addStoreOptions(upCommand).action((options: UpFlags) =>
    up(openHome(), { ...options, store: readStoreFlags(options) }),
  )
  program
    .command('down')
    .description('stop the cluster and its containers; its state stays')
    .action(() => down(openHome()))
  program
    .command('status')
    .description('what runs, and whether it is well')
    .option('--json', 'print one JSON object')
    .action((options: { json?: boolean }) => status(openHome(), { json: options.json === true }))
  program
    .command('logs')
    .description('print the log of a process of the cluster')
    .argument('[name]', `one of: ${DAEMONS.join(', ')}, containerd, a partition (default: all)`)
    .option('-f, --follow', 'go on as lines come')
    .option('-n, --lines <count>', 'lines from the end', '100')
    .action((name: string | undefined, options: { follow?: boolean; lines: string }) =>
      showLogs(openHome(), name, { follow: options.follow === true, lines: options.lines }),
    )
  program
    .command('reset')
    .description('stop the cluster and delete everything in it')
    .option('-y, --yes', 'do not ask')
    .action((options: { yes?: boolean }) => reset(openHome(), { yes: options.yes === true }))
}

function addStore(program: Command): void {
  const store = program.command('store').description('where the cluster keeps its objects')
  store
    .command('migrate')
    .description('move all objects to another store; the cluster must be down')
    .requiredOption('--to <engine>', 'embedded or etcd')
    .option('--endpoints <urls>', 'members of etcd, such as https://10.0.0.1:2379,https://10.0.0.2:2379')
    .option('--ca <file>', "certificate authority of etcd's servers")
    .option('--cert <file>', 'client certificate for etcd')
    .option('--key <file>', 'its key')
    .option('--prefix <prefix>', 'where in etcd (default /centaurus)')
    .action(async ({ to, ...flags }: { to: string } & Omit<StoreFlags, 'engine'>) =>
      (await import('./commands/store.ts')).migrateClusterStore(openHome(), { engine: to, ...flags }),
    )
}

interface UpFlags extends StoreOptions {
  readonly port?: number
  readonly nodes?: NodesSetting
  readonly network?: NetworkSetting
  readonly simulatedGpus?: string
  readonly listen?: string
  readonly advertise?: string
  readonly tenantWebhookNetworks?: readonly string[]
  readonly kubeletDir?: string
  readonly join?: string
}

function addImage(program: Command): void {
  const image = program.command('image').description('container images on this node')
  image
    .command('import')
    .description('load an OCI or Docker archive, so that pods can use its images without a registry')
    .argument('<file>', 'such as app.tar, or - for standard input')
    .action((file: string) => importImage(openHome(), file))
  image
    .command('list')
    .description('images that pods can use')
    .action(() => listImages(openHome()))
}

function addTools(program: Command): void {
  program
    .command('kubectl')
    .description('run the bundled kubectl against this cluster')
    .argument('[args...]')
    .passThroughOptions()
    .allowUnknownOption()
    .helpOption(false)
    .action((args: string[]) => kubectl(openHome(), args))
  program
    .command('test')
    .description('install what the tests need and run them all')
    .argument('[steps...]', 'only these steps')
    .action((steps: string[]) => runTests(steps))
}

function addDaemons(program: Command): void {
  program
    .command('control-plane', { hidden: true })
    .description('run the control plane in the foreground')
    .action(async () => (await import('./commands/control-plane.ts')).runControlPlane(openHome()))
  program
    .command('prepare', { hidden: true })
    .description('compile what the first start needs')
    .action(async () => (await import('./commands/prepare.ts')).prepare())
}
