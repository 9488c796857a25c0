/** A small node agent for tests: binds pods to one node while it has GPUs for them, and runs the command of their first container as a process here. */
import { spawn, type ChildProcess } from 'node:child_process'
import { isStatus, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { GPU } from '@centaurus/api/gpu'
import type { ControlPlane } from '../../testing/control-plane.ts'

export interface ProcessNodeOptions {
  readonly name: string
  readonly gpus: number
  /** Where all processes write. */
  readonly logFd: number
  /** What a pod's process finds instead of what its environment says, as names of hosts are no names here. */
  readonly environmentOf: (pod: Stored<Pod>, said: Record<string, string>) => Record<string, string>
}

export class ProcessNode {
  readonly #plane: ControlPlane
  readonly #options: ProcessNodeOptions
  readonly #processes = new Map<string, ChildProcess>()
  readonly #ends = new Map<string, Promise<void>>()
  /** Uids of pods whose process was begun. */
  readonly #begun = new Map<string, number>()
  readonly #unsubscribe: () => void
  #isDirty = false
  #running: Promise<void> | undefined

  constructor(plane: ControlPlane, options: ProcessNodeOptions) {
    this.#plane = plane
    this.#options = options
    const look = (): void => this.#look()
    this.#unsubscribe = plane.informers.informer(pods).addHandler({
      onAdd: look,
      onUpdate: look,
      onDelete: ({ metadata }) => void this.#processes.get(metadata.uid)?.kill('SIGKILL'),
    })
  }

  /** As a machine does that runs out of memory. */
  kill(pod: Stored<Pod>): void {
    this.#processes.get(pod.metadata.uid)!.kill('SIGKILL')
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    await this.#running
    for (const child of this.#processes.values()) child.kill('SIGKILL')
    await Promise.all(this.#ends.values())
    await this.#running
  }

  #look(): void {
    this.#isDirty = true
    this.#running ??= this.#settle().finally(() => (this.#running = undefined))
  }

  async #settle(): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false
      for (const pod of this.#plane.informers.informer(pods).list()) await this.#settlePod(pod)
    }
  }

  async #settlePod(pod: Stored<Pod>): Promise<void> {
    const { uid, deletionTimestamp } = pod.metadata
    const child = this.#processes.get(uid)
    if (deletionTimestamp !== undefined) {
      if (child === undefined) await this.#ignoringGone(this.#delete(pod))
      else if (!child.killed) child.kill('SIGTERM')
      return
    }
    if (this.#begun.has(uid)) return
    const gpus = gpusOf(pod)
    const used = [...this.#processes.keys()].reduce((sum, each) => sum + (this.#begun.get(each) ?? 0), 0)
    if (used + gpus > this.#options.gpus) return this.#ignoringGone(this.#refuse(pod))
    this.#begun.set(uid, gpus)
    await this.#ignoringGone(this.#start(pod))
  }

  async #start(pod: Stored<Pod>): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    const binding = { metadata: { name }, target: { kind: 'Node', name: this.#options.name } }
    await this.#plane.client.createSubresource(pods, { namespace, name }, 'binding', binding)
    const [container] = pod.spec!.containers
    const said = Object.fromEntries((container!.env ?? []).map((each) => [each.name, each.value ?? '']))
    const [command = '', ...args] = container!.command!
    const env = {
      ...process.env,
      ...said,
      HOSTNAME: pod.spec?.hostname ?? name,
      ...this.#options.environmentOf(pod, said),
    }
    const child = spawn(command, args, { env, stdio: ['ignore', this.#options.logFd, 'inherit'] })
    this.#processes.set(uid, child)
    const code = new Promise<number | null>((resolve) => child.once('close', resolve))
    this.#ends.set(uid, this.#end(pod, code))
    await this.#write(pod, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] })
  }

  async #end(pod: Stored<Pod>, ended: Promise<number | null>): Promise<void> {
    const code = await ended
    this.#processes.delete(pod.metadata.uid)
    await this.#ignoringGone(this.#write(pod, { phase: code === 0 ? 'Succeeded' : 'Failed' }))
    this.#look()
  }

  async #refuse(pod: Stored<Pod>): Promise<void> {
    if (pod.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') === true) return
    await this.#write(pod, { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] })
  }

  #write({ metadata }: Stored<Pod>, status: NonNullable<Pod['status']>): Promise<unknown> {
    const { namespace, name, uid } = metadata
    const patch = { type: 'merge', body: { metadata: { uid }, status } } as const
    return this.#plane.client.patch(pods, { namespace, name }, patch, { subresource: 'status' })
  }

  #delete({ metadata: { namespace, name, uid } }: Stored<Pod>): Promise<unknown> {
    return this.#plane.client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } })
  }

  async #ignoringGone(work: Promise<unknown>): Promise<void> {
    await work.catch((error: unknown) => {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
    })
  }
}

function gpusOf({ spec }: Pod): number {
  return Number(spec?.containers[0]?.resources?.limits?.[GPU] ?? 0)
}
