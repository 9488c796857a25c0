import type { Command } from 'commander'
import { parseCount } from '../settings.ts'

/** Options of `simulate` that are numbers: flag, member of the run's options, description. */
const SIMULATE_NUMBERS = [
  ['--nodes', 'nodes', 'hollow nodes'],
  ['--pods', 'pods', 'pods at saturation, those of the DaemonSet included'],
  ['--deployment-replicas', 'deploymentReplicas', 'replicas of a Deployment'],
  ['--latency-pods', 'latencyPodsPerSecond', 'pods a second whose startup is timed'],
  ['--latency-seconds', 'latencySeconds', 'for so long'],
  ['--churn', 'churnPodsPerSecond', 'pods made and removed a second'],
  ['--churn-seconds', 'churnSeconds', 'for so long; 0: no churn'],
  ['--failed-nodes', 'failedNodes', 'nodes that fall silent and come back'],
  ['--down-ms', 'downMs', 'how long a killed partition stays away'],
  ['--idle-seconds', 'idleSeconds', 'heartbeats alone before there is a pod'],
  ['--node-processes', 'nodeProcesses', 'processes of hollow nodes'],
  ['--lease-ms', 'leasePeriodMs', 'between two renewals of a lease'],
  ['--node-status-ms', 'nodeStatusPeriodMs', 'between two reports of a node'],
  ['--pod-start-ms', 'podStartMs', 'from the pod at its node to running containers'],
  ['--seed', 'seed', 'of everything random'],
] as const

/** Adds `simulate`, and the hidden commands of the processes that it starts. */
export function addSimulate(program: Command): void {
  const command = program
    .command('simulate')
    .description('run a whole cluster with hollow nodes on this machine, test it under load, and report')
    .option('--tps <n>', 'tenant partitions (default: one partition that is both)', parseCount)
    .option('--rps <n>', 'resource partitions', parseCount)
    .option('--tenants <n>', 'tenants of each tenant partition (default 1)', parseCount)
    .option('--report <dir>', 'write report.json and report.html there')
    .option('--work-dir <dir>', "folder for the stores while it runs (default: the machine's temporary files)")
    .option('--heap-mib <n>', "limit of each process's heap (default 8192)", parseCount)
    .option('--no-crashes', 'kill no partition')
    .option('--no-services', 'without services')
    .option('--no-daemon-set', 'without a DaemonSet')
    .option('--no-events', 'nodes tell no events')
    .option('--creating-status', 'nodes write a status while containers are made, as kubelets do')
    .option('--keep', 'leave stores and logs where they are')
  for (const [flag, , text] of SIMULATE_NUMBERS) command.option(`${flag} <n>`, text, parseCount)
  command.action(async (flags: Readonly<Record<string, unknown>>) => {
    const { simulate, readSimulateFlags } = await import('../commands/simulate.ts')
    process.exit(await simulate(readSimulateFlags(flags, SIMULATE_NUMBERS)))
  })
  for (const name of ['simulate-partition', 'simulate-nodes']) {
    program
      .command(name, { hidden: true })
      .description('run a process of a simulation')
      .action(async () => (await import('../commands/simulate.ts')).SIMULATION_PROCESSES[name]?.())
  }
}
