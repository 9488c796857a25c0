import { existsSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { silentLogger } from '@centaurus/base'
import type { ListrTask } from 'listr2'
import { findDaemon } from '../daemons.ts'
import { listGateways, readGatewaySettings } from '../gateway-home.ts'
import { hasGpus, readSimulatedGpus } from '../host-gpus.ts'
import { createHome, listHomes, type Home, type NamedHome } from '../home.ts'
import { applyJoinBundle, readJoinBundle, type JoinBundle } from '../join-bundle.ts'
import { installPackages, missingPackages, whyNoContainers, whyNoOwnNetwork } from '../prerequisites.ts'
import { runSteps } from '../progress.ts'
import {
  DEFAULT_SETTINGS,
  formatNodes,
  hasOwnNetwork,
  parseKubeletDir,
  readSettings,
  writeSettings,
  type NetworkSetting,
  type NodesSetting,
  type Settings,
} from '../settings.ts'
import { offerSandbox, sandboxHandlers } from '../sandbox-runtime.ts'
import { controlPlaneTask, gatewayTask, gpuTask, nodeTask } from '../start-tasks.ts'
import { describeStore, isSameStore, type StoreSetting } from '../store-setting.ts'
import { UserError } from '../user-error.ts'

/** What the command line named; the rest comes from the last time, else from the defaults. */
export interface UpOptions {
  readonly port?: number | undefined
  readonly nodes?: NodesSetting | undefined
  readonly store?: StoreSetting | undefined
  readonly listen?: string | undefined
  readonly advertise?: string | undefined
  readonly tenantWebhookNetworks?: readonly string[] | undefined
  readonly network?: NetworkSetting | undefined
  /** File, or `none`. */
  readonly simulatedGpus?: string | undefined
  /** Absolute path, or `none`. */
  readonly kubeletDir?: string | undefined
  /** File that `centaurus partition add --join-bundle` wrote. */
  readonly join?: string | undefined
}

/** Starts whatever of the cluster does not run yet, and waits until it is ready. */
export async function up(home: Home, options: UpOptions): Promise<void> {
  const bundle = options.join === undefined ? undefined : readJoinBundle(options.join)
  const settings = decideSettings(home, { ...options, gpus: await readGpus(options) }, bundle)
  if (settings.nodes.type === 'local') refuseWithoutContainers()
  if (hasOwnNetwork(settings)) refuseWithoutOwnNetwork()
  createHome(home)
  if (bundle !== undefined) applyJoinBundle(home, bundle)
  writeSettings(home, settings)
  const isLocal = settings.nodes.type === 'local'
  const own = { home, name: '' }
  const programs = hasOwnNetwork(settings) ? createProgramsBuild(home) : undefined
  const tasks = [
    ...(isLocal ? localTasks(home, { settings, whenChecked: () => programs?.start() }) : []),
    controlPlaneTask(own),
    ...(isLocal ? [containerTask(home)] : []),
    ...(programs === undefined ? [] : [programs.finish]),
    ...(settings.nodes.type === 'none' ? [] : [nodeTask(own, settings)]),
    ...(hasGpus(settings) ? [gpuTask(own, settings)] : []),
    ...(isLocal && Object.keys(sandboxHandlers(home)).length > 0 ? [sandboxTask(home)] : []),
    ...furtherTasks(home),
    ...listGateways(home).flatMap((each) => [renewTask(home, each), gatewayTask(each)]),
  ]
  await runSteps(tasks)
  process.stdout.write(farewell(home, settings))
}

interface DecidedOptions extends UpOptions {
  /** Undefined: the command line does not say. */
  readonly gpus: { readonly file: string | undefined } | undefined
}

async function readGpus({ simulatedGpus }: UpOptions): Promise<DecidedOptions['gpus']> {
  return simulatedGpus === undefined ? undefined : { file: await readSimulatedGpus(simulatedGpus) }
}

/** Ports, nodes, store and place of a cluster that exists can't be changed under its feet. */
function decideSettings(home: Home, options: DecidedOptions, bundle: JoinBundle | undefined): Settings {
  const last = existsSync(home.dir) ? readSettings(home) : undefined
  if (bundle !== undefined && last !== undefined && last.partition?.name !== bundle.partition.name) {
    throw new UserError(
      `Cannot join as partition "${bundle.partition.name}": ${home.dir} holds another cluster. Use another home: CENTAURUS_HOME=~/other ./centaurus up --join ${options.join}`,
    )
  }
  const holdsNodes = bundle === undefined || bundle.partition.roles.includes('Resource')
  const defaults = holdsNodes ? DEFAULT_SETTINGS : { ...DEFAULT_SETTINGS, nodes: { type: 'none' as const } }
  const partition = bundle?.partition ?? last?.partition
  const listen = options.listen ?? last?.listen
  const advertise = options.advertise ?? last?.advertise
  const tenantWebhookNetworks = options.tenantWebhookNetworks ?? last?.tenantWebhookNetworks
  const simulatedGpus = options.gpus === undefined ? last?.simulatedGpus : options.gpus.file
  const kubeletDir = options.kubeletDir === undefined ? last?.kubeletDir : parseKubeletDir(options.kubeletDir)
  const wanted: Settings = {
    port: options.port ?? last?.port ?? defaults.port,
    nodes: options.nodes ?? last?.nodes ?? defaults.nodes,
    store: options.store ?? last?.store ?? defaults.store,
    network: options.network ?? last?.network ?? defaults.network,
    ...(partition === undefined ? {} : { partition }),
    ...(listen === undefined ? {} : { listen }),
    ...(advertise === undefined ? {} : { advertise }),
    ...(tenantWebhookNetworks === undefined ? {} : { tenantWebhookNetworks }),
    ...(simulatedGpus === undefined ? {} : { simulatedGpus }),
    ...(kubeletDir === undefined ? {} : { kubeletDir }),
  }
  if (options.gpus?.file !== undefined && wanted.nodes.type === 'none')
    throw new UserError(
      'Cannot simulate GPUs without nodes: leave out --simulated-gpus, or name nodes by --nodes local or --nodes simulated:5',
    )
  if (last !== undefined) refuseAnotherStore(home, last.store, wanted.store)
  if (last !== undefined && findDaemon(home, 'control-plane') !== undefined && !isDeepStrictEqual(last, wanted)) {
    throw new UserError(
      `The cluster in ${home.dir} already runs with --port ${last.port} --nodes ${formatNodes(last.nodes)}. ` +
        'Run ./centaurus down first, or use another home: CENTAURUS_HOME=~/other ./centaurus up --port 7443',
    )
  }
  return wanted
}

/** A cluster without its objects would be a new one. */
function refuseAnotherStore(home: Home, last: StoreSetting, wanted: StoreSetting): void {
  if (isSameStore(home, last, wanted)) return
  if (last.engine === 'embedded' && !existsSync(home.storeDir)) return // nothing was ever stored
  const flags = wanted.engine === 'etcd' ? `etcd --endpoints ${wanted.endpoints.join(',')} …` : 'embedded'
  throw new UserError(
    `The cluster in ${home.dir} keeps its objects in ${describeStore(home, last)}. ` +
      `Move them first: ./centaurus down && ./centaurus store migrate --to ${flags}`,
  )
}

/** Certificates of a gateway come to an end, and addresses change. */
function renewTask(home: Home, { name, home: own }: NamedHome): ListrTask {
  return {
    title: `Prepare the ${name}`,
    task: async () => (await import('./gateway.ts')).prepareGateway(home, readGatewaySettings(own)),
  }
}

/** Partitions and servers that were added on this machine. */
function furtherTasks(home: Home): ListrTask[] {
  return listHomes(home)
    .slice(1)
    .flatMap((each) => {
      const settings = readSettings(each.home) ?? DEFAULT_SETTINGS
      return [controlPlaneTask(each), ...(settings.nodes.type === 'none' ? [] : [nodeTask(each, settings)])]
    })
}

function refuseWithoutContainers(): void {
  const why = whyNoContainers()
  if (why === undefined) return
  throw new UserError(
    `Cannot run real containers: ${why}. Run this as root (sudo ./centaurus up), or without containers: ./centaurus up --nodes simulated:5`,
  )
}

const BRIDGE_ADVICE = 'Use the bridge network, without policies: ./centaurus up --network bridge'

function refuseWithoutOwnNetwork(): void {
  const why = whyNoOwnNetwork()
  if (why !== undefined) throw new UserError(`Cannot run the pod network: ${why}. ${BRIDGE_ADVICE}`)
}

interface LocalTasksOptions {
  readonly settings: Settings
  /** Everything is there that containers need. */
  readonly whenChecked: () => void
}

function localTasks(home: Home, { settings, whenChecked }: LocalTasksOptions): ListrTask[] {
  return [
    {
      title: 'Check what containers need',
      task: async (_, task) => {
        const missing = missingPackages(settings.network)
        if (missing.length > 0) {
          task.title = `Install ${missing.join(', ')}`
          await installPackages(missing, (line) => (task.output = line)).catch((cause) => adviseBridge(cause, missing))
        }
        await (await import('../host-network.ts')).claimHostNetwork(home, settings)
        whenChecked()
      },
    },
    {
      title: 'Start containerd',
      task: async (_, task) => {
        const { openContainerd } = await import('../containers.ts')
        const containerd = await openContainerd(home, silentLogger).catch(asUserError)
        if (containerd.adopted) task.skip(`containerd is already up (pid ${containerd.pid})`)
      },
    },
  ]
}

function containerTask(home: Home): ListrTask {
  return {
    title: 'Build and import the images that the project brings',
    task: async () => {
      const { importNodeImages } = await import('../node-images.ts')
      const { containerdPaths } = await import('@centaurus/node')
      await importNodeImages(containerdPaths(home.containerdDir).socket).catch(asUserError)
    },
  }
}

/** Once `centaurus sandbox install` has built it. */
function sandboxTask(home: Home): ListrTask {
  return {
    title: 'Offer the sandbox to pods',
    task: async () => {
      const { withAdmin } = await import('../cluster-access.ts')
      await withAdmin(home, offerSandbox)
    },
  }
}

/** Compiles the programs of the pod network while other steps run: it takes seconds, once. */
function createProgramsBuild(home: Home): { readonly start: () => void; readonly finish: ListrTask } {
  let building = Promise.resolve()
  return {
    start() {
      building = build(home)
      building.catch(() => {}) // told by the step
    },
    finish: {
      title: 'Build the pod network',
      task: () => building.catch(asUserError),
    },
  }
}

async function build(home: Home): Promise<void> {
  const { buildPrograms } = await import('@centaurus/network')
  const { programsFolder } = await import('../host-network.ts')
  await buildPrograms({ outDir: programsFolder(home) })
}

/** What only our own network needs can be done without. */
function adviseBridge(cause: unknown, missing: readonly string[]): never {
  const isNeeded = missingPackages('bridge').length === missing.length
  if (isNeeded || !(cause instanceof UserError)) throw cause
  throw new UserError(`${cause.message}\n${BRIDGE_ADVICE}`, {
    cause,
  })
}

function asUserError(cause: unknown): never {
  throw new UserError((cause as Error).message, { cause })
}

function farewell(home: Home, { partition, nodes, network }: Settings): string {
  if (partition?.homeEndpoints !== undefined) {
    return `\nPartition ${partition.name} is up. Its kubeconfig is ${home.kubeconfig}\n`
  }
  return `
The cluster is up. Its kubeconfig is ${home.kubeconfig}

Try:
  ./centaurus kubectl get nodes -o wide
  ./centaurus kubectl apply -f examples/web.yaml
  ./centaurus kubectl -n web get all -o wide

Or with your own tools: export KUBECONFIG=${home.kubeconfig}
${nodes.type === 'local' && network === 'bridge' ? BRIDGE_HINT : ''}`
}

const BRIDGE_HINT = `
Pods are on the bridge network: policies are not enforced, and tenants reach each other's pods. To change that:
  ./centaurus down && ./centaurus up --network centaurus
`
