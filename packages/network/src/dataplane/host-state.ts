import { mapSharedMemory, type SharedMemory } from '../kernel/shared-memory.ts'
import {
  hostConfig,
  hostState,
  POLICY_SETS_MAX,
  policySet,
  type HostConfig,
  type PolicySetRecord,
} from '../layouts/layouts.ts'

const SETS_OFFSET = hostState.fields.find(({ name }) => name === 'sets')!.offset
const EPOCH_OFFSET = policySet.fields.find(({ name }) => name === 'epoch')!.offset

/** Memory that is shared with the programs: what they know of the host, and the heads of policy sets. Each write is seen by the next packet. */
export class HostState {
  readonly #memory: SharedMemory
  #view: DataView

  constructor(fd: number) {
    this.#memory = mapSharedMemory(fd, hostState.size)
    this.#view = new DataView(this.#memory.bytes)
  }

  readConfig(): HostConfig {
    return hostConfig.read(this.#view, 0)
  }

  writeConfig(config: HostConfig): void {
    hostConfig.write(this.#view, 0, config)
  }

  readSet(id: number): PolicySetRecord {
    return policySet.read(this.#view, offsetOf(id))
  }

  /** The epoch is raised: flows that were judged by what was here are judged again. */
  writeSet(id: number, head: Omit<PolicySetRecord, 'epoch'>): void {
    policySet.write(this.#view, offsetOf(id), { ...head, epoch: this.readSet(id).epoch })
    this.raiseEpoch(id)
  }

  raiseEpoch(id: number): void {
    const offset = offsetOf(id) + EPOCH_OFFSET
    this.#view.setUint32(offset, (this.#view.getUint32(offset, true) + 1) >>> 0, true)
  }

  /** All epochs begin at this number. For memory that is new. */
  beginEpochsAt(epoch: number): void {
    for (let id = 0; id < POLICY_SETS_MAX; id++) this.#view.setUint32(offsetOf(id) + EPOCH_OFFSET, epoch, true)
  }

  /** Whoever uses it afterwards gets a `RangeError` and not the memory of somebody else. */
  close(): void {
    this.#view = new DataView(new ArrayBuffer(0))
    this.#memory.close()
  }
}

function offsetOf(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id >= POLICY_SETS_MAX) throw new RangeError(`No policy set has number ${id}`)
  return SETS_OFFSET + id * policySet.size
}
