import type { Command } from 'commander'
import { openHome } from './home.ts'
import { parseNodes, parsePort, parseRoles } from './settings.ts'
import { parseServiceRange } from './service-ranges.ts'
import { addStoreOptions, readStoreFlags, type StoreOptions } from './store-flags.ts'

interface AddFlags extends StoreOptions {
  readonly roles: ReturnType<typeof parseRoles>
  readonly port?: number
  readonly nodes?: ReturnType<typeof parseNodes>
  readonly serviceCidr?: string
  readonly listen?: string
  readonly advertise?: string
  readonly joinBundle?: string
}

/** `centaurus partition …`; the commands are loaded when they run. */
export function addPartitionCommands(program: Command): void {
  const partition = program.command('partition').description('parts of the cluster, each with a store of its own')
  partition
    .command('list')
    .description('the partitions of the cluster, and how they are')
    .option('--json', 'print one JSON array')
    .action(async (options: { json?: boolean }) =>
      (await import('./commands/partition.ts')).listPartitions(openHome(), { json: options.json === true }),
    )
  const add = partition
    .command('add')
    .description('add a partition while the cluster runs; safe to run again')
    .argument('<name>')
    .option('--roles <roles>', 'tenant, resource or tenant,resource', parseRoles, parseRoles('tenant,resource'))
    .option('--port <port>', 'port of its API server (default: the first free one from 6444 on)', parsePort)
    .option('--nodes <kind>', 'simulated:N or none (default none)', parseNodes)
    .option(
      '--service-cidr <range>',
      'addresses of its Services (default: the first free one from 10.97.0.0/16 on)',
      parseServiceRange,
    )
    .option('--listen <address>', 'listen on this address alone')
    .option('--advertise <address>', 'how others reach it (default: the address of this machine)')
    .option('--join-bundle <file>', 'write what another machine needs to run it, for ./centaurus up --join')
  addStoreOptions(add).action(async (name: string, { joinBundle, ...flags }: AddFlags) =>
    (await import('./commands/partition-add.ts')).addPartition(openHome(), name, {
      ...flags,
      joinBundle,
      store: readStoreFlags(flags),
    }),
  )
  partition
    .command('add-server')
    .description('start a further API server of a partition whose store is an etcd')
    .argument('<name>')
    .requiredOption('--port <port>', 'its port', parsePort)
    .option('--listen <address>', 'listen on this address alone')
    .option('--advertise <address>', 'how others reach it (default: the address of this machine)')
    .action(async (name: string, flags: { port: number; listen?: string; advertise?: string }) =>
      (await import('./commands/partition-add.ts')).addServer(openHome(), name, flags),
    )
  addOperations(partition)
}

function addOperations(partition: Command): void {
  partition
    .command('drain')
    .description('give a partition no new tenants and nodes, and say how to move what it has')
    .argument('<name>')
    .action(async (name: string) => (await import('./commands/partition.ts')).drainPartition(openHome(), name))
  partition
    .command('readmit')
    .description('believe a partition again whose store went back in time, after you have looked at it')
    .argument('<name>')
    .action(async (name: string) => (await import('./commands/partition.ts')).readmitPartition(openHome(), name))
  partition
    .command('remove')
    .description('take an empty partition out of the cluster')
    .argument('<name>')
    .action(async (name: string) => (await import('./commands/partition.ts')).removePartition(openHome(), name))
}
