import { existsSync } from 'node:fs'
import { silentLogger } from '@centaurus/base'
import { buildQuark, cargoPackages, findCargo } from '@centaurus/sandbox'
import type { ListrTask } from 'listr2'
import { withAdmin } from '../cluster-access.ts'
import { findDaemon } from '../daemons.ts'
import { createHome, type Home } from '../home.ts'
import { installPackages } from '../prerequisites.ts'
import { runSteps } from '../progress.ts'
import { offerSandbox, SANDBOX_CLASS, sandboxFolder } from '../sandbox-runtime.ts'
import { readSettings } from '../settings.ts'
import { UserError } from '../user-error.ts'

/** Builds the sandbox runtime, tells the container runtime of it, and makes its RuntimeClass. Without a cluster that runs, the next `up` does the rest. */
export async function installSandbox(home: Home): Promise<void> {
  createHome(home)
  const runs = findDaemon(home, 'control-plane') !== undefined && findDaemon(home, 'node') !== undefined
  const isLocal = existsSync(home.dir) && readSettings(home)?.nodes.type === 'local'
  await runSteps([rustTask(), buildTask(home), ...(runs && isLocal ? [handlerTask(home), offerTask(home)] : [])])
  process.stdout.write(
    runs && isLocal
      ? `\nPods run in it that say runtimeClassName: ${SANDBOX_CLASS}\n`
      : '\nThe next ./centaurus up with real containers offers it to pods.\n',
  )
}

function rustTask(): ListrTask {
  return {
    title: 'Check for Rust',
    task: async (_, task) => {
      const cargo = await findCargo()
      if (cargo.path !== undefined) return
      const packages = process.getuid?.() === 0 ? await cargoPackages() : undefined
      if (packages === undefined) throw new UserError(`Cannot build the sandbox: ${cargo.why}`)
      task.title = `Install ${packages.join(', ')}`
      await installPackages(packages, (line) => (task.output = line))
    },
  }
}

function buildTask(home: Home): ListrTask {
  return {
    title: 'Build the sandbox runtime',
    task: async (_, task) => {
      const cargo = await findCargo()
      await buildQuark({ outDir: sandboxFolder(home), cargo, report: (line) => (task.output = line) })
    },
  }
}

function handlerTask(home: Home): ListrTask {
  return {
    title: 'Tell containerd of it',
    task: async () => {
      const { openContainerd } = await import('../containers.ts')
      await openContainerd(home, silentLogger)
    },
  }
}

function offerTask(home: Home): ListrTask {
  return {
    title: `Offer RuntimeClass ${SANDBOX_CLASS}`,
    task: () => withAdmin(home, offerSandbox),
  }
}
