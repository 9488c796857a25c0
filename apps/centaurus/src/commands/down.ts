import { silentLogger } from '@centaurus/base'
import type { ListrTask } from 'listr2'
import { findDaemon, stopDaemon, type DaemonName } from '../daemons.ts'
import { listGateways } from '../gateway-home.ts'
import { listHomes, type Home, type NamedHome } from '../home.ts'
import { runSteps } from '../progress.ts'
import { DEFAULT_SETTINGS, hasOwnNetwork, readSettings } from '../settings.ts'

/** Longest time that pods get to stop, all together. */
const STOP_SECONDS_MAX = 60

/** Stops the node agent, the containers, the pod network and the control plane, in that order. Nothing that was stored is lost. */
export async function down(home: Home): Promise<void> {
  if (readSettings(home) === undefined) {
    process.stdout.write(`There is no cluster in ${home.dir}.\n`)
    return
  }
  await stopCluster(home, { graceSecondsMax: STOP_SECONDS_MAX })
  process.stdout.write(`\nThe cluster is down. Its state is in ${home.dir}; ./centaurus up starts it again.\n`)
}

/** The steps of {@link down}, with the longest time that pods get to stop. What was added to the cluster on this machine stops as well. */
export async function stopCluster(home: Home, options: { readonly graceSecondsMax: number }): Promise<void> {
  const all = listHomes(home).toReversed() // home last: the others report to it
  await runSteps([
    ...listGateways(home).map(({ home: own, name }) => stopTask({ home: own, name: '' }, 'gateway-server', name)),
    ...all.map((each) => stopTask(each, 'node', 'node agent')),
    {
      title: 'Stop the containers',
      task: async (_: unknown, task: { skip(reason: string): void }) => {
        const { stopContainers } = await import('../containers.ts')
        if (!(await stopContainers(home, { logger: silentLogger, ...options }))) task.skip('No containers were running')
      },
    },
    ...all
      .filter(({ home: own }) => findDaemon(own, 'gpu') !== undefined)
      .map((each) => stopTask(each, 'gpu', 'GPU plugin')),
    // After the containers: taking a pod off the network needs it.
    ...all.filter(hasNetwork).map((each) => stopTask(each, 'network', 'pod network')),
    ...(hasNetwork({ home, name: '' }) ? [removeTask(home)] : []),
    ...all.map((each) => stopTask(each, 'control-plane', 'control plane')),
  ])
}

/** Also one that was set up before and still runs. */
function hasNetwork({ home }: NamedHome): boolean {
  return hasOwnNetwork(readSettings(home) ?? DEFAULT_SETTINGS) || findDaemon(home, 'network') !== undefined
}

/** No pod is left that needs it. */
function removeTask(home: Home): ListrTask {
  return {
    title: 'Take the pod network off this machine',
    task: async () => (await import('../host-network.ts')).removeNetwork(home),
  }
}

function stopTask({ home, name }: NamedHome, daemon: DaemonName, title: string): ListrTask {
  const what = name === '' ? `the ${title}` : `the ${title} of ${name}`
  return {
    title: `Stop ${what}`,
    task: async (_, task) => {
      if (!(await stopDaemon(home, daemon))) task.skip(`T${what.slice(1)} was not running`)
    },
  }
}
