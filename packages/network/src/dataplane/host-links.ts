import { join } from 'node:path'
import { attachEntrance, attachUplink, type AttachMode } from './attach-uplink.ts'
import { Attachments, type Attachment } from './attachments.ts'
import type { ProgramName } from './open-programs.ts'
import type { HostFacts } from './open-tables.ts'
import type { Handover } from './open-version.ts'
import { linksOf, type PinnedVersions } from './pinned-versions.ts'

/** Of the loopback device, in every network namespace. */
const LOOPBACK_IFINDEX = 1

type Devices = Pick<HostFacts, 'hostDevice' | 'uplinks' | 'entrances'>

interface HostLinksOptions extends Devices {
  readonly attach: AttachMode
  readonly programFd: (name: ProgramName) => number
  readonly handover: Handover | undefined
  readonly onStep?: (step: string) => void
}

/** Programs on the devices of a host and of its pods. */
export class HostLinks {
  readonly #versions: PinnedVersions
  readonly #options: HostLinksOptions
  /** Undefined: packets go to what was there before. */
  #attachments: Attachments | undefined
  /** Devices of pods that came before. */
  readonly #waiting = new Set<number>()
  #isPrepared = false
  #host: Devices

  constructor(versions: PinnedVersions, options: HostLinksOptions) {
    this.#versions = versions
    this.#options = options
    this.#host = options
  }

  /** Packets go to this process' programs when it returns. Each device has programs all the while. Can be tried again when it throws. */
  activate(): void {
    if (this.#attachments !== undefined) return
    const { handover, onStep, programFd } = this.#options
    if (!this.#isPrepared) handover?.prepare()
    this.#isPrepared = true
    if (handover !== undefined) this.#versions.commit()
    onStep?.('Replaces the programs')
    const attachments = new Attachments(join(this.#versions.own, 'links'), programFd)
    attachments.adopt()
    for (const dir of this.#versions.listOthers())
      attachments.takeOver(linksOf(dir), ({ program, ifindex }) => onStep?.(`Replaced ${program} on device ${ifindex}`))
    this.#attachHost(attachments)
    for (const ifindex of this.#waiting) attachments.attach(podAttachment(ifindex))
    handover?.finish()
    this.#versions.dropOthers()
    handover?.close()
    this.#attachments = attachments
  }

  attachPod(ifindex: number): void {
    if (this.#attachments === undefined) this.#waiting.add(ifindex)
    else this.#attachments.attach(podAttachment(ifindex))
  }

  /** Those of the host's own devices. */
  list(): Attachment[] {
    return (this.#attachments?.list() ?? []).filter(({ program }) => program !== 'from_pod')
  }

  /** The uplinks and entrances of now; those of before stay until {@link detachOthers}. */
  attachUplinks(host: Devices): void {
    this.#host = host
    if (this.#attachments !== undefined) this.#attachUplinks(this.#attachments)
  }

  /** Leaves devices that are no longer an uplink, an entrance or the host's end: what stays attached sees every packet. */
  detachOthers(): void {
    if (this.#attachments !== undefined) this.#detachOthers(this.#attachments)
  }

  #attachHost(attachments: Attachments): void {
    this.#detachOthers(attachments)
    attachments.attach({ program: 'from_host', hook: 'tcx-egress', ifindex: this.#host.hostDevice.ifindex })
    attachments.attach({ program: 'from_loopback', hook: 'tcx-egress', ifindex: LOOPBACK_IFINDEX })
    this.#attachUplinks(attachments)
  }

  #attachUplinks(attachments: Attachments): void {
    const { uplinks, entrances = [] } = this.#host
    for (const { ifindex } of uplinks) attachUplink(attachments, { ifindex, mode: this.#options.attach })
    for (const { ifindex } of entrances) attachEntrance(attachments, ifindex)
  }

  #detachOthers(attachments: Attachments): void {
    const { hostDevice, uplinks, entrances = [] } = this.#host
    const own = new Set([LOOPBACK_IFINDEX, ...[hostDevice, ...uplinks, ...entrances].map(({ ifindex }) => ifindex)])
    for (const attachment of attachments.list())
      if (attachment.program !== 'from_pod' && !own.has(attachment.ifindex)) attachments.detach(attachment)
  }
}

function podAttachment(ifindex: number): Attachment {
  return { program: 'from_pod', hook: 'tcx-ingress', ifindex }
}
