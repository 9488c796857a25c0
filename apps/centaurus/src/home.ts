import { chmodSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Where one cluster keeps everything: `$CENTAURUS_HOME`, else `~/.centaurus`. Removing the folder removes the cluster. */
export interface Home {
  readonly dir: string
  /** Administrator's kubeconfig. */
  readonly kubeconfig: string
  /** Keys and certificates; only its owner may read. */
  readonly pkiDir: string
  /** The embedded store. */
  readonly storeDir: string
  /** The node agent's pods, volumes and logs. */
  readonly nodeDir: string
  /** Our containerd: root, state, socket, configuration. */
  readonly containerdDir: string
  readonly logDir: string
  /** Which processes run. */
  readonly runDir: string
  /** What `up` was told. */
  readonly settings: string
}

/** Paths of the home folder that the environment names. Touches nothing. */
export function findHome(env: NodeJS.ProcessEnv = process.env): Home {
  const dir = resolve(env['CENTAURUS_HOME'] ?? join(homedir(), '.centaurus'))
  return {
    dir,
    kubeconfig: join(dir, 'kubeconfig'),
    pkiDir: join(dir, 'pki'),
    storeDir: join(dir, 'store'),
    nodeDir: join(dir, 'node'),
    containerdDir: join(dir, 'containerd'),
    logDir: join(dir, 'logs'),
    runDir: join(dir, 'run'),
    settings: join(dir, 'settings.json'),
  }
}

/** Makes the folders that every command may write to. */
export function createHome(home: Home): void {
  for (const dir of [home.dir, home.pkiDir, home.logDir, home.runDir]) mkdirSync(dir, { recursive: true })
  chmodSync(home.pkiDir, 0o700)
}
