/** What became of a packet. */
export interface Delivery {
  readonly atNs: number
  /** Undefined: dropped. */
  readonly departureNs: number | undefined
  readonly isMarked: boolean
}

/** Who sends packets of one flow, in virtual time. */
export interface Sender {
  readonly name: string
  /** Of a packet on the wire, without what the kernel does not count; at most 65,536. */
  readonly bytes: number
  /** Undefined: the host itself. */
  readonly shaper?: number
  /** 0 to 31. */
  readonly flow: number
  /** Understands marks (ECN). */
  readonly canMark?: boolean
  /** When its next packet comes; undefined: none, until it hears of another. */
  nextNs(nowNs: number): number | undefined
  hear(delivery: Delivery): void
}

type SenderOptions = Pick<Sender, 'name' | 'bytes' | 'shaper' | 'flow' | 'canMark'>

/** Every packet of all senders until `endNs`, in the order of time. */
export function* sendOrder(
  senders: readonly Sender[],
  startNs: number,
  endNs: number,
): Generator<{ readonly sender: Sender; readonly atNs: number }> {
  let now = startNs
  for (;;) {
    let next: { sender: Sender; atNs: number } | undefined
    for (const sender of senders) {
      const at = sender.nextNs(now)
      if (at !== undefined && (next === undefined || at < next.atNs)) next = { sender, atNs: at }
    }
    if (next === undefined || next.atNs >= endNs) return
    now = next.atNs
    yield next
  }
}

/** As many bits a second as said, whatever becomes of them. */
export function steady(options: SenderOptions & { readonly bandwidth: number; readonly phaseNs?: number }): Sender {
  const step = (options.bytes * 8e9) / options.bandwidth
  let due: number | undefined
  return {
    ...options,
    nextNs: (now) => (due ??= now + (options.phaseNs ?? 0)),
    hear: () => void (due! += step),
  }
}

/**
 * Sends while it has room in its window, which grows by a packet a round trip and is halved, once a round trip, by what is lost or marked: as TCP Reno in steady state. At least two packets.
 */
export function windowed(
  options: SenderOptions & { readonly roundTripNs: number; readonly windowMax?: number },
): Sender {
  const { roundTripNs, windowMax = 10_000 } = options
  let window = 10
  /** When answers to what is under way come. */
  let answers: { readonly sentNs: number; readonly atNs: number; readonly isLost: boolean }[] = []
  /** What was sent before tells of the window before. */
  let halvedNs = 0
  let lastAt = 0
  const take = (now: number): void => {
    for (const { sentNs, atNs, isLost } of answers.filter((answer) => answer.atNs <= now)) {
      if (!isLost) window = Math.min(windowMax, window + 1 / window)
      else if (sentNs >= halvedNs) {
        window = Math.max(2, window / 2)
        halvedNs = atNs
      }
    }
    answers = answers.filter((answer) => answer.atNs > now)
  }
  return {
    ...options,
    nextNs(now) {
      take(now)
      if (answers.length < Math.floor(window)) return Math.max(now, lastAt)
      return Math.min(...answers.map(({ atNs }) => atNs))
    },
    hear({ atNs, departureNs, isMarked }) {
      lastAt = atNs + 1
      // nextNs may have said when an answer comes, before there was room
      answers.push({
        sentNs: atNs,
        atNs: (departureNs ?? atNs) + roundTripNs,
        isLost: departureNs === undefined || isMarked,
      })
    },
  }
}
