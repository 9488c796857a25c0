import { InvalidArgumentError, type Command } from 'commander'
import { openHome } from './home.ts'

interface OutputFlags {
  readonly output?: 'json'
}

interface ExplainFlags extends OutputFlags {
  readonly namespace: string
  readonly tenant?: string
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
}

interface DropFlags extends OutputFlags {
  readonly follow?: boolean
}

const EXPLAIN_HELP = `
The source is a pod, NAME or NAMESPACE/NAME. The target is one as well, or an address, or a Service as svc/NAME or svc/NAMESPACE/NAME.
It answers from the objects that the cluster has, so it needs neither root nor the pods' host. On a host that runs one of the pods it also asks the
network there, and says so when that differs. It ends with 0 when the packet is allowed and with 3 when it is denied.

Examples:
  ./centaurus network explain web db 5432                     may pod web open TCP 5432 of pod db?
  ./centaurus network explain -n shop web svc/db 5432         by the address of a Service
  ./centaurus network explain web kube-system/dns 53 --protocol UDP
  ./centaurus network explain web 203.0.113.7 443             to the world
  ./centaurus network explain --tenant acme web db 5432       pods of a tenant`

const DROPS_HELP = `
Shows a sample: a host tells of at most some hundred drops a second. Exact counts are in ./centaurus network status.

Reasons that policies give:
  PolicyIngress      no policy of the receiver lets the sender in
  PolicyEgress       the sender's policies do not let it out
  PolicyPeerEgress   the same, decided where the receiver is
  NotReady           the pod has no policies yet
  UnknownIdentity    the receiver's host does not know the sender yet
See docs/network.md for the others.`

/** `centaurus network …`; the commands are loaded when they run. */
export function addNetworkCommands(program: Command): void {
  const network = program
    .command('network')
    .description('what connects the pods of this machine: who may talk to whom, and why not')
  network
    .command('status')
    .description('the network of this host: its pods, policies, other hosts, and how full its tables are')
    .option('-o, --output <format>', 'json', parseOutput)
    .action(async ({ output }: OutputFlags) =>
      (await import('./commands/network-status.ts')).showNetworkStatus(openHome(), { json: output === 'json' }),
    )
  network
    .command('explain')
    .description('whether a pod may reach another pod, an address or a Service, and by which rule')
    .argument('<source>', 'pod')
    .argument('<target>', 'pod, address or svc/NAME')
    .argument('<port>', 'number, or name of a port of the target', parsePortOrName)
    .option('-n, --namespace <name>', 'of pods and Services without one', 'default')
    .option('--tenant <name>', 'whose pods (default: system)')
    .option('--protocol <name>', 'TCP, UDP or SCTP', parseProtocol, 'TCP')
    .option('-o, --output <format>', 'json', parseOutput)
    .addHelpText('after', EXPLAIN_HELP)
    .action(async (source: string, target: string, port: string, { output, ...flags }: ExplainFlags) =>
      (await import('./commands/network-explain.ts')).explainNetwork(openHome(), {
        ...flags,
        source,
        target,
        port,
        json: output === 'json',
      }),
    )
  network
    .command('drops')
    .description('packets that this host dropped lately, with their pods and the rule')
    .option('-f, --follow', 'go on as they come')
    .option('-o, --output <format>', 'json, one object a line', parseOutput)
    .addHelpText('after', DROPS_HELP)
    .action(async ({ follow, output }: DropFlags) =>
      (await import('./commands/network-drops.ts')).showDrops(openHome(), {
        follow: follow === true,
        json: output === 'json',
      }),
    )
  network
    .command('run', { hidden: true })
    .description("run this machine's pod network in the foreground")
    .action(async () => (await import('./commands/network.ts')).runNetwork(openHome()))
}

function parseOutput(text: string): 'json' {
  if (text === 'json') return text
  throw new InvalidArgumentError('It must be json')
}

function parseProtocol(text: string): ExplainFlags['protocol'] {
  const name = text.toUpperCase()
  if (name === 'TCP' || name === 'UDP' || name === 'SCTP') return name
  throw new InvalidArgumentError('It must be TCP, UDP or SCTP')
}

/** Source of the names: Kubernetes' IANA_SVC_NAME. */
function parsePortOrName(text: string): string {
  const number = Number(text)
  if (/^\d+$/.test(text) ? number >= 1 && number <= 65_535 : /^[a-z0-9]([-a-z0-9]{0,14})$/.test(text)) return text
  throw new InvalidArgumentError('It must be a number from 1 to 65535, or the name of a port')
}
