import { existsSync, readdirSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { silentLogger } from '@centaurus/base'
import type { Home } from '../home.ts'
import { readSettings } from '../settings.ts'
import { describeStore } from '../store-setting.ts'
import { UserError } from '../user-error.ts'
import { stopCluster } from './down.ts'

/** Pods that are deleted with everything they have need no time to tidy up. */
const GRACE_SECONDS = 1

/** Deletes the cluster: its processes, containers, objects, volumes, certificates and logs. */
export async function reset(home: Home, { yes }: { yes: boolean }): Promise<void> {
  if (!existsSync(home.dir)) {
    process.stdout.write(`There is no cluster in ${home.dir}.\n`)
    return
  }
  // whoever names the wrong folder keeps it
  if (!existsSync(home.settings) && readdirSync(home.dir).length > 0)
    throw new UserError(
      `Cannot reset ${home.dir}: there is no cluster, but something else. Delete it yourself if you mean it`,
    )
  if (!yes && !(await confirm(`Delete the cluster in ${home.dir} with all its objects and volumes? [y/N] `))) {
    process.stdout.write('Nothing was deleted.\n')
    return
  }
  await stopCluster(home, { graceSecondsMax: GRACE_SECONDS })
  const { removeContainers, removeMounts } = await import('../containers.ts')
  const { removeNetwork } = await import('../host-network.ts')
  const settings = readSettings(home)
  if (settings?.nodes.type === 'local') {
    await removeContainers(home, silentLogger)
    await removeNetwork(home)
    await removeMounts(home)
  }
  rmSync(home.dir, { recursive: true, force: true })
  process.stdout.write(`Deleted ${home.dir}.\n`)
  if (settings?.store.engine !== 'etcd') return
  const { prefix } = settings.store // others may use it, so nothing is deleted there
  process.stdout.write(`Its objects are still in ${describeStore(home, settings.store)}. `)
  process.stdout.write(
    `To delete them as well: etcdctl del --prefix ${prefix}/.data && etcdctl del --prefix ${prefix}/.commits\n`,
  )
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UserError('Nobody is there to confirm. Run ./centaurus reset --yes to delete without asking')
  const prompt = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await prompt.question(question)).trim())
  } finally {
    prompt.close()
  }
}
