import { InvalidArgumentError, type Command } from 'commander'
import type { NodeGpuOptions } from './commands/gpu.ts'
import { openHome } from './home.ts'

const HELP = `
A node with NVIDIA's driver has a plugin that serves its GPUs, whole or in parts; ./centaurus up starts it. Pods ask in resources.limits:
  nvidia.com/gpu: 2                                             two whole GPUs
  centaurus.io/gpu-memory: 10240, centaurus.io/gpu-compute: 40  10 GiB and 40 % of the time of one

Without GPUs, all of it but the computing works on simulated ones: ./centaurus up --simulated-gpus FILE. See docs/gpu.md.`

const STATUS_HELP = `
Shows the GPUs of this machine: their health, what is used of them, and the containers that have them or parts of them.
MEMORY and TIME of a container are what it may have at most; - is no limit. USES is of the last second, KIND what its type of job was seen to do (training with its
period, inference, steady, idle), and WOULD FIT what is enough for it. Ends with 1 when something does not work, and says what.

Examples:
  ./centaurus gpu status
  ./centaurus gpu status -o json | jq '.devices[] | select(.problem)'`

const NODE_HELP = `
Registers at the kubelet as nvidia.com/gpu; no other plugin of that resource may run. Such a kubelet gives whole GPUs alone, since it does not say
which container has a part. The Node says which GPUs there are, so that the scheduler knows their models and links.

Example:
  ./centaurus gpu node --kubeconfig node.kubeconfig    where ./centaurus node kubeconfig NAME printed that`

/** `centaurus gpu …`; the commands are loaded when they run. */
export function addGpuCommands(program: Command): void {
  const gpu = program
    .command('gpu')
    .description('GPUs of this machine: which there are, and who has what of them')
    .addHelpText('after', HELP)
  gpu
    .command('status')
    .description('the GPUs of this machine, and which containers have them')
    .option('-o, --output <format>', 'json', parseOutput)
    .addHelpText('after', STATUS_HELP)
    .action(async ({ output }: { readonly output?: 'json' }) =>
      (await import('./commands/gpu-status.ts')).showGpuStatus(openHome(), { json: output === 'json' }),
    )
  gpu
    .command('node')
    .description("serve the GPUs of a machine with a kubelet of upstream's, in the foreground")
    .requiredOption('--kubeconfig <file>', 'what node kubeconfig printed for it')
    .option('--name <name>', "of the node (default: this machine's)")
    .option('--kubelet-dir <folder>', "the kubelet's", '/var/lib/kubelet')
    .option('--simulated-gpus <file>', 'serve these, and not those that the machine has')
    .addHelpText('after', NODE_HELP)
    .action(async (options: NodeGpuOptions) => (await import('./commands/gpu.ts')).runNodeGpus(openHome(), options))
  gpu
    .command('run', { hidden: true })
    .description("serve this machine's GPUs to its node agent, in the foreground")
    .action(async () => (await import('./commands/gpu.ts')).runGpus(openHome()))
}

function parseOutput(text: string): 'json' {
  if (text === 'json') return text
  throw new InvalidArgumentError('It must be json')
}
