import { accessSync, chmodSync, constants, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { UserError } from './user-error.ts'

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
  /** What the pod network must not forget: addresses of pods, programs and tables in the kernel. */
  readonly networkDir: string
  /** Folders by which the GPU plugin and containers speak. */
  readonly gpuDir: string
  readonly logDir: string
  /** Which processes run. */
  readonly runDir: string
  /** What `up` was told. */
  readonly settings: string
  /** A home for each further partition of the cluster that this machine runs. */
  readonly partitionsDir: string
  /** A home for each further API server of this home's partition. */
  readonly serversDir: string
}

/** Paths of the home folder that the environment names. Touches nothing. */
export function findHome(env: NodeJS.ProcessEnv = process.env): Home {
  const named = env['CENTAURUS_HOME'] ?? ''
  return homeAt(resolve(named === '' ? join(homedir(), '.centaurus') : named))
}

/** As {@link findHome}, for who wants to use it. Throws {@link UserError} when it can't be one, or is somebody else's. */
export function openHome(): Home {
  const home = findHome()
  const { dir } = home
  if (existsSync(dir) && !statSync(dir).isDirectory())
    throw new UserError(
      `Cannot use ${dir} as the home of a cluster: it is no folder. Name another one by CENTAURUS_HOME`,
    )
  for (const [path, mode] of [
    [dir, constants.R_OK | constants.X_OK],
    [home.runDir, constants.R_OK | constants.X_OK],
    [home.settings, constants.R_OK],
    [home.kubeconfig, constants.R_OK],
  ] as const) {
    if (isRefused(path, mode))
      throw new UserError(
        `The cluster in ${dir} belongs to another user, and ${path} may not be read. Run this as that user, such as with sudo, or name another home by CENTAURUS_HOME`,
      )
  }
  return home
}

/** Whether the path is there, or may be, and this process may not use it so. */
function isRefused(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

/** Paths of a home in this folder. Touches nothing. */
export function homeAt(dir: string): Home {
  return {
    dir,
    kubeconfig: join(dir, 'kubeconfig'),
    pkiDir: join(dir, 'pki'),
    storeDir: join(dir, 'store'),
    nodeDir: join(dir, 'node'),
    containerdDir: join(dir, 'containerd'),
    networkDir: join(dir, 'network'),
    gpuDir: join(dir, 'gpu'),
    logDir: join(dir, 'logs'),
    runDir: join(dir, 'run'),
    settings: join(dir, 'settings.json'),
    partitionsDir: join(dir, 'partitions'),
    serversDir: join(dir, 'servers'),
  }
}

/** A home within the cluster's home. */
export interface NamedHome {
  /** `''` for the cluster's own; else the partition's name, or that and a server's port, as in `tp1` and `tp1:6445`. */
  readonly name: string
  readonly home: Home
}

/** Home of a further partition. */
export function partitionHome(home: Home, name: string): Home {
  return homeAt(join(home.partitionsDir, name))
}

/** Home of a further API server of the partition in `home`. */
export function serverHome(home: Home, port: number): Home {
  return homeAt(join(home.serversDir, String(port)))
}

/** Ports of the further API servers of the partition in this home. */
export function listServerPorts(home: Home): number[] {
  return foldersIn(home.serversDir).map(Number)
}

/** The cluster's home, and all that were set up within it, servers after their partition. */
export function listHomes(home: Home): NamedHome[] {
  const partitions = foldersIn(home.partitionsDir).map((name) => ({ name, home: partitionHome(home, name) }))
  return [{ name: '', home }, ...partitions].flatMap((each) => [
    each,
    ...foldersIn(each.home.serversDir).map((port) => ({
      name: `${each.name}:${port}`,
      home: serverHome(each.home, Number(port)),
    })),
  ])
}

/** Those with settings: others are what an interrupted removal left. */
function foldersIn(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .filter((name) => existsSync(homeAt(join(dir, name)).settings))
    .toSorted()
}

/** Makes the folders that every command may write to. */
export function createHome(home: Home): void {
  for (const dir of [home.dir, home.pkiDir, home.logDir, home.runDir]) mkdirSync(dir, { recursive: true })
  chmodSync(home.pkiDir, 0o700)
}
