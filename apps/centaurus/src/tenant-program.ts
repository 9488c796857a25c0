import { InvalidArgumentError, type Command } from 'commander'
import { openHome } from './home.ts'

interface CreateFlags {
  readonly admin?: string
  readonly partition?: string
  readonly quota?: Readonly<Record<string, string>>
}

interface KubeconfigFlags {
  readonly user?: string
  readonly group?: readonly string[]
  readonly server?: string
}

/** `centaurus tenant …`; the commands are loaded when they run. */
export function addTenantCommands(program: Command): void {
  const tenant = program
    .command('tenant')
    .description('customers of the cluster, each with a cluster of its own to see')
  tenant
    .command('create')
    .description('make a tenant and wait until it can be used; safe to run again')
    .argument('<name>')
    .option('--admin <user>', 'who may do everything in it (default admin)')
    .option('--partition <name>', 'where it lives (default: where the fewest do)')
    .option('--quota <list>', 'limits over all its namespaces, such as pods=100,requests.cpu=20', parseQuota)
    .action(async (name: string, flags: CreateFlags) =>
      (await import('./commands/tenant.ts')).createTenant(openHome(), name, flags),
    )
  tenant
    .command('list')
    .description('the tenants of the cluster, where they live and what they use of their quota')
    .option('--json', 'print one JSON array')
    .action(async (options: { json?: boolean }) =>
      (await import('./commands/tenant.ts')).listTenants(openHome(), { json: options.json === true }),
    )
  tenant
    .command('delete')
    .description('delete a tenant with all that it has, and wait until nothing is left')
    .argument('<name>')
    .action(async (name: string) => (await import('./commands/tenant.ts')).deleteTenant(openHome(), name))
  tenant
    .command('move')
    .description('let a tenant live in another partition; its pods run on and its users go on')
    .argument('<name>')
    .requiredOption('--to <partition>', 'where it shall live')
    .option('--timeout <seconds>', 'how long to wait for the end; the move goes on after that', parseSeconds)
    .action(async (name: string, { to, timeout }: { to: string; timeout?: number }) =>
      (await import('./commands/tenant-move.ts')).moveTenant(openHome(), name, { to, timeoutSeconds: timeout }),
    )
  tenant
    .command('kubeconfig')
    .description('print a kubeconfig for a user of a tenant')
    .argument('<name>')
    .option('--user <user>', 'its name (default: the administrator)')
    .option('--group <group...>', 'groups that it is in')
    .option('--server <url>', 'address of the API server or of a gateway')
    .action(async (name: string, { group, ...flags }: KubeconfigFlags) =>
      (await import('./commands/tenant.ts')).printTenantKubeconfig(openHome(), name, { ...flags, groups: group }),
    )
}

/** `pods=100,requests.cpu=20`. */
function parseQuota(text: string): Record<string, string> {
  const entries = text.split(',').map((part) => part.split('='))
  for (const [name = '', amount = '', ...more] of entries) {
    if (name === '' || amount === '' || more.length > 0)
      throw new InvalidArgumentError('It must be like pods=100,requests.cpu=20')
  }
  return Object.fromEntries(entries) as Record<string, string>
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new InvalidArgumentError('It must be a whole number of at least 1')
  return seconds
}
