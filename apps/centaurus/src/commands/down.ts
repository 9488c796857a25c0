import { silentLogger } from '@centaurus/base'
import { Listr } from 'listr2'
import { stopDaemon } from '../daemons.ts'
import type { Home } from '../home.ts'
import { LISTR_OPTIONS } from '../progress.ts'

/** Longest time that pods get to stop, all together. */
const STOP_SECONDS_MAX = 60

/** Stops the node agent, the containers and the control plane, in that order. Nothing that was stored is lost. */
export async function down(home: Home): Promise<void> {
  await stopCluster(home, { graceSecondsMax: STOP_SECONDS_MAX })
  process.stdout.write(`\nThe cluster is down. Its state is in ${home.dir}; ./centaurus up starts it again.\n`)
}

/** The steps of {@link down}, with the longest time that pods get to stop. */
export async function stopCluster(home: Home, options: { readonly graceSecondsMax: number }): Promise<void> {
  await new Listr(
    [
      {
        title: 'Stop the node agent',
        task: async (_, task) => {
          if (!(await stopDaemon(home, 'node'))) task.skip('The node agent was not running')
        },
      },
      {
        title: 'Stop the containers',
        task: async (_, task) => {
          const { stopContainers } = await import('../containers.ts')
          if (!(await stopContainers(home, { logger: silentLogger, ...options })))
            task.skip('No containers were running')
        },
      },
      {
        title: 'Stop the control plane',
        task: async (_, task) => {
          if (!(await stopDaemon(home, 'control-plane'))) task.skip('The control plane was not running')
        },
      },
    ],
    LISTR_OPTIONS,
  ).run()
}
