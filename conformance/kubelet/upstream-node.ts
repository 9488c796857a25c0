import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../lib/cluster.ts'
import { mustRun, run, waitFor } from '../lib/processes.ts'
import type { UpstreamPrograms } from './build.ts'
import { makeCgroups, removeCgroups } from './cgroups.ts'

const POD_CIDR = '10.244.9.0/24'
const LOG_TAIL_CHARACTERS = 4000

export interface UpstreamNodeOptions {
  readonly name: string
  /** For everything that it keeps. Processes name it, so that who sweeps the folder's home ends them. */
  readonly folder: string
  readonly programs: UpstreamPrograms
  /** Prefix that runs a command in the node's network. */
  readonly enter: readonly string[]
  /** Its own there; without it the kubelet asks a name server for its name. */
  readonly address: string
  /** PEM of the cluster's authority. */
  readonly ca: string
  /** Who gives pods their network: the bridge of the standard plugins, or ours. */
  readonly network?: 'bridge' | 'centaurus'
}

/** Kubeconfigs. Those that are absent are what they were the last time. */
export interface Credentials {
  readonly kubelet?: string
  readonly bootstrap?: string
  readonly kubeProxy?: string
}

/** A machine with an unmodified kubelet and kube-proxy: containerd, cgroups and folders of its own. */
export class UpstreamNode {
  readonly name: string
  readonly #options: UpstreamNodeOptions
  readonly #machine: ChildProcess
  readonly #cgroup: string
  readonly #running = new Map<string, ChildProcess>()

  private constructor(options: UpstreamNodeOptions, machine: ChildProcess) {
    this.name = options.name
    this.#options = options
    this.#machine = machine
    this.#cgroup = `centaurus-test-${process.pid}-${options.name}`
  }

  /** Starts the machine; neither kubelet nor kube-proxy runs yet. Needs root. */
  static async create(options: UpstreamNodeOptions): Promise<UpstreamNode> {
    const { folder, enter, ca } = options
    mkdirSync(join(folder, 'manifests'), { recursive: true })
    writeFileSync(join(folder, 'ca.crt'), ca)
    const isolate = ['unshare', '--mount', '--propagation', 'private']
    const main = join(import.meta.dirname, 'node-main.ts')
    const [program, ...args] = [
      ...enter,
      ...isolate,
      process.execPath,
      main,
      folder,
      POD_CIDR,
      options.network ?? 'bridge',
    ]
    const machine = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const node = new UpstreamNode(options, machine)
    const [first] = (await Promise.race([once(machine.stdout, 'data'), once(machine, 'exit')])) as [unknown]
    if (!String(first).startsWith('ready')) throw new Error(`The machine of node ${options.name} did not start`)
    makeCgroups(node.#cgroup)
    writeFileSync(join(folder, 'kubelet.json'), JSON.stringify(node.#kubeletConfiguration()))
    writeFileSync(join(folder, 'kube-proxy.json'), JSON.stringify(node.#proxyConfiguration()))
    return node
  }

  /** Folder of the static pods. */
  get manifests(): string {
    return this.#file('manifests')
  }

  /** Starts a kubelet, which joins by a kubeconfig or gets one by a bootstrap kubeconfig. */
  startKubelet({ kubelet, bootstrap }: Credentials = {}): void {
    this.#write('kubeconfig', kubelet)
    this.#write('bootstrap-kubeconfig', bootstrap)
    const file = this.#file('bootstrap-kubeconfig')
    this.#start('kubelet', this.#options.programs.kubelet, [
      `--config=${this.#file('kubelet.json')}`,
      `--kubeconfig=${this.#file('kubeconfig')}`,
      ...(existsSync(file) ? [`--bootstrap-kubeconfig=${file}`] : []),
      `--root-dir=${this.#file('kubelet')}`,
      `--cert-dir=${this.#file('certificates')}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.#options.address}`,
      '--v=2',
    ])
  }

  startKubeProxy({ kubeProxy }: Credentials = {}): void {
    this.#write('kube-proxy-kubeconfig', kubeProxy)
    this.#start('kube-proxy', this.#options.programs.kubeProxy, [`--config=${this.#file('kube-proxy.json')}`])
  }

  /** Starts our pod network beside the kubelet, as docs/nodes.md says. */
  startNetwork({ kubelet, kubeProxy }: Credentials = {}): void {
    this.#write('network-kubeconfig', kubelet)
    this.#write('kube-proxy-kubeconfig', kubeProxy)
    const [program, ...args] = this.#networkCommand(
      `--kubeconfig=${this.#file('network-kubeconfig')}`,
      `--proxy-kubeconfig=${this.#file('kube-proxy-kubeconfig')}`,
      `--name=${this.name}`,
      `--container-runtime-endpoint=unix://${this.#file('containerd/containerd.sock')}`,
    )
    this.#start('network', program!, args)
  }

  /** Ends it and takes what it made off the machine. */
  async removeNetwork(): Promise<void> {
    await this.#kill('network')
    await mustRun([...this.#inMachine(), ...this.#networkCommand('--remove')], { env: this.#env })
  }

  #networkCommand(...flags: readonly string[]): string[] {
    const folders = [`--cni-bin-dir=${this.#file('plugins')}`, `--cni-conf-dir=${this.#file('containerd/cni/net.d')}`]
    return [join(ROOT, 'centaurus'), 'node', 'network', ...folders, ...flags]
  }

  /** Kills the kubelet; containers go on. */
  async killKubelet(): Promise<void> {
    await this.#kill('kubelet')
  }

  /** The end of what kubelet and kube-proxy said. */
  logs(): string {
    const tails = Array.from(this.#running.keys(), (name) => {
      return `${name}:\n${readFileSync(this.#file(`${name}.log`), 'utf8').slice(-LOG_TAIL_CHARACTERS)}`
    })
    return tails.join('\n')
  }

  /** Ends the machine with what runs on it. */
  async destroy(): Promise<void> {
    for (const name of this.#running.keys()) await this.#kill(name)
    const ctr = ['ctr', '--namespace', 'k8s.io', '--address', this.#file('containerd/containerd.sock')]
    await waitFor('containers to end', async () => {
      const tasks = (await mustRun([...ctr, 'tasks', 'list', '--quiet'])).split('\n').filter((id) => id !== '')
      for (const id of tasks) await run([...ctr, 'tasks', 'delete', '--force', id]) // its sandbox may have ended it
      return tasks.length === 0
    })
    this.#machine.stdin?.end()
    if (this.#machine.exitCode === null) await once(this.#machine, 'exit')
    await waitFor('cgroups to be empty', async () => removeCgroups(this.#cgroup))
  }

  #start(name: string, binary: string, flags: readonly string[]): void {
    const log = openSync(this.#file(`${name}.log`), 'a')
    const [program, ...args] = [...this.#inMachine(), binary, ...flags]
    this.#running.set(
      name,
      spawn(program!, args, {
        stdio: ['ignore', log, log],
        cwd: '/',
        env: this.#env,
      }),
    )
    closeSync(log)
  }

  /** Prefix that runs a command there. */
  #inMachine(): string[] {
    return [...this.#options.enter, 'nsenter', `--mount=/proc/${this.#machine.pid}/ns/mnt`]
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, CENTAURUS_HOME: this.#file('home') }
  }

  async #kill(name: string): Promise<void> {
    const child = this.#running.get(name)
    this.#running.delete(name)
    if (child === undefined || child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  #file(name: string): string {
    return join(this.#options.folder, name)
  }

  #write(name: string, text: string | undefined): void {
    if (text !== undefined) writeFileSync(this.#file(name), text)
  }

  #kubeletConfiguration(): object {
    return {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: this.#file('ca.crt') },
      },
      authorization: { mode: 'Webhook' },
      serverTLSBootstrap: true,
      rotateCertificates: true,
      containerRuntimeEndpoint: `unix://${this.#file('containerd/containerd.sock')}`,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${this.#cgroup}`,
      failCgroupV1: false,
      clusterDNS: ['10.96.0.10'],
      clusterDomain: 'cluster.local',
      staticPodPath: this.manifests,
      podLogsDir: this.#file('logs'),
      volumePluginDir: this.#file('volume-plugins'),
      healthzPort: 0,
      syncFrequency: '5s', // files of ConfigMaps follow at this pace
      // The machine of a test may be nearly full, and nothing is to be evicted for that.
      evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
      imageGCHighThresholdPercent: 100,
      imageGCLowThresholdPercent: 99,
    }
  }

  #proxyConfiguration(): object {
    return {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'nftables',
      hostnameOverride: this.name,
      clientConnection: { kubeconfig: this.#file('kube-proxy-kubeconfig') },
      clusterCIDR: POD_CIDR,
      conntrack: { maxPerCore: 0 }, // it is the whole machine's
      healthzBindAddress: '',
      metricsBindAddress: '',
    }
  }
}
