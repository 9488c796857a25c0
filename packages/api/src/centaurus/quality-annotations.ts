/** What annotations of a pod, or of a namespace for its pods, say of their {@link NetworkQuality}. */
import { parseBandwidth, parseByteBandwidth, type Complaint } from './bandwidth.ts'
import { NETWORK_CLASSES, NETWORK_PRIORITIES, type NetworkQuality, type QualityWish } from './network-quality.ts'

/** Something about annotations that can't be so. */
export interface QualityProblem {
  /** Which of them: one, or two that say different things. The last one is to blame. */
  readonly annotations: readonly string[]
  /** Of the last one. */
  readonly value: string
  /** To follow "Invalid value: …:". */
  readonly detail: string
}

export interface SaidQuality {
  /** What is wrong says nothing; of two that say different things the first name counts. */
  readonly wish: QualityWish
  readonly problems: readonly QualityProblem[]
}

type Field = keyof NetworkQuality
type Parse = (text: string) => string | number | Complaint | undefined

/** Names of each field, the one that counts first; those of `mizar.com` are what users of Mizar know. Source: CentaurusInfra/mizar mizar/common/constants.py. */
const NAMES: Readonly<Record<Field, readonly (readonly [name: string, parse: Parse])[]>> = {
  networkClass: [
    ['centaurus.io/network-class', parseClass],
    ['mizar.com/network-class', parseClass],
  ],
  priority: [
    ['centaurus.io/network-priority', parsePriority],
    ['mizar.com/network-priority', parsePriority],
  ],
  egressBandwidth: [
    ['kubernetes.io/egress-bandwidth', parseBandwidth],
    ['mizar.com/egress-bandwidth', parseByteBandwidth],
  ],
  ingressBandwidth: [
    ['kubernetes.io/ingress-bandwidth', parseBandwidth],
    ['mizar.com/ingress-bandwidth', parseByteBandwidth],
  ],
}
const FIELDS = Object.entries(NAMES) as [Field, (typeof NAMES)[Field]][]

/** Every annotation that says something of quality. */
export const QUALITY_ANNOTATIONS: readonly string[] = Object.values(NAMES).flatMap((names) =>
  names.map(([name]) => name),
)

/** Reads them. Pure; costs a look-up a name when there are none. */
export function readQuality(annotations: Readonly<Record<string, string>> | undefined): SaidQuality {
  if (annotations === undefined) return NOTHING
  const wish: Record<string, string | number> = {}
  const problems: QualityProblem[] = []
  for (const [field, names] of FIELDS) {
    let first: string | undefined
    for (const [name, parse] of names) {
      const text = annotations[name]
      const value = text === undefined ? undefined : parse(text)
      if (text === undefined || value === undefined) continue
      if (typeof value === 'object') problems.push({ annotations: [name], value: text, detail: value.detail })
      else if (first === undefined) {
        first = name
        wish[field] = value
      } else if (value !== wish[field]) {
        const detail = `says something else than ${first} ("${annotations[first]}"): leave one of them out`
        problems.push({ annotations: [first, name], value: text, detail })
      }
    }
  }
  return { wish, problems }
}

const NOTHING: SaidQuality = Object.freeze({ wish: Object.freeze({}), problems: Object.freeze([]) })

function parseClass(text: string): string | Complaint {
  const found = NETWORK_CLASSES.find((word) => isWord(text, word))
  return found ?? { detail: 'must be premium, expedited or best-effort; BestEffort is the same as best-effort' }
}

function parsePriority(text: string): string | Complaint {
  return NETWORK_PRIORITIES.find((word) => isWord(text, word)) ?? { detail: 'must be high, medium or low' }
}

/** Whichever letters are large: `BestEffort` is `best-effort`. */
function isWord(text: string, word: string): boolean {
  const lower = text.toLowerCase()
  return lower === word || lower === word.replace('-', '')
}
