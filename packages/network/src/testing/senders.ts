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
 * `startsSlowly`: until that happens for the first time the window doubles each round trip, as that of a new connection.
 */
export function windowed(
  options: SenderOptions & {
    readonly roundTripNs: number
    readonly windowMax?: number
    readonly startsSlowly?: boolean
  },
): Sender {
  const { roundTripNs, windowMax = 10_000 } = options
  let isStarting = options.startsSlowly === true
  let window = 10
  /** When answers to what is under way come, the next one last. */
  const answers: { readonly sentNs: number; readonly atNs: number; readonly isLost: boolean }[] = []
  /** What was sent before tells of the window before. */
  let halvedNs = 0
  let readyNs = 0
  const take = (now: number): void => {
    while (answers.length > 0 && answers.at(-1)!.atNs <= now) {
      const { sentNs, atNs, isLost } = answers.pop()!
      if (!isLost) window = Math.min(windowMax, window + (isStarting ? 1 : 1 / window))
      else if (sentNs >= halvedNs) {
        isStarting = false
        window = Math.max(2, window / 2)
        halvedNs = atNs
      }
    }
  }
  return {
    ...options,
    nextNs(now) {
      take(now)
      // a window that was halved has room only after many answers
      while (answers.length >= Math.floor(window)) {
        readyNs = Math.max(readyNs, answers.at(-1)!.atNs)
        take(readyNs)
      }
      return Math.max(now, readyNs)
    },
    hear({ atNs, departureNs, isMarked }) {
      readyNs = atNs + 1
      const answer = {
        sentNs: atNs,
        atNs: (departureNs ?? atNs) + roundTripNs,
        isLost: departureNs === undefined || isMarked,
      }
      const later = answers.findIndex((each) => each.atNs <= answer.atNs)
      answers.splice(later === -1 ? answers.length : later, 0, answer)
    },
  }
}
