import { isStatus, splitQualifiedName, SYSTEM_TENANT } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { ipaddresses } from '@centaurus/api/networking/v1'
import type { Client } from '@centaurus/client'
import { UserError } from './user-error.ts'

/** On home's Partition: ranges of partitions that were removed while addresses from them had moved on with tenants. */
const KEPT_ANNOTATION = 'centaurus.io/kept-service-ranges'
/** Of the home partition when it names none. Source: the API server's default range. */
const HOME_RANGE = '10.96.0.0/16'
/** Ranges that are given away: 10.97.0.0/16 to 10.127.0.0/16; beyond, name them by `--service-cidr`. */
const RANGES = Array.from({ length: 31 }, (_, i) => `10.${97 + i}.0.0/16`)
const REQUEST_TIMEOUT_MS = 5_000
const ATTEMPTS_MAX = 5

/** The range that is asked for, or else the first one that nobody has or keeps. Throws {@link UserError} when it overlaps with another, or all are taken. */
export function chooseRange(all: readonly Readonly<Partition>[], wanted: string | undefined): string {
  const taken = [...all.map(({ spec }) => spec.serviceCIDR ?? HOME_RANGE), ...all.flatMap(keptRanges)]
  if (wanted !== undefined) {
    const other = taken.find((range) => overlaps(range, wanted))
    if (other === undefined) return wanted
    throw new UserError(`Cannot use --service-cidr ${wanted}: addresses of ${other} may be in use, it must not overlap`)
  }
  const free = RANGES.find((range) => !taken.some((other) => overlaps(range, other)))
  if (free === undefined) throw new UserError('Cannot find a free range for Services: name one by --service-cidr')
  return free
}

function keptRanges({ metadata }: Readonly<Partition>): string[] {
  return metadata.annotations?.[KEPT_ANNOTATION]?.split(',') ?? []
}

function overlaps(a: string, b: string): boolean {
  const [one, other] = [parseRange(a), parseRange(b)]
  return one.first <= other.last && other.first <= one.last
}

/** Throws {@link UserError} for what is no range of IPv4 addresses. */
function parseRange(text: string): { readonly first: number; readonly last: number } {
  const found = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  const [bits = 33, ...bytes] = (found?.slice(1) ?? []).map(Number).toReversed()
  if (bits > 32 || bytes.some((byte) => byte > 255))
    throw new UserError(`Cannot use "${text}" as a range of Services: it must be like 10.97.0.0/16`)
  const size = 2 ** (32 - bits)
  const address = bytes.toReversed().reduce((sum, byte) => sum * 256 + byte, 0)
  const first = Math.floor(address / size) * size
  return { first, last: first + size - 1 }
}

/**
 * Whether Services that moved away with their tenants may have addresses of an empty partition's range, which it holds for them. True when it does not
 * answer.
 */
export async function holdsAddresses(client: Client): Promise<boolean> {
  try {
    const { items } = await client.list(ipaddresses, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    return items.some(({ spec }) => splitQualifiedName(spec?.parentRef?.namespace ?? '')?.tenant !== SYSTEM_TENANT)
  } catch {
    return true
  }
}

/** Sees to it that no partition gets the range. */
export async function keepRange(client: Client, range: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const home = (await client.list(partitions)).items.find(({ spec }) => spec.home === true)
    if (home === undefined || keptRanges(home).includes(range)) return
    const annotations = { ...home.metadata.annotations, [KEPT_ANNOTATION]: [...keptRanges(home), range].join() }
    try {
      await client.update(partitions, { ...home, metadata: { ...home.metadata, annotations } })
      return
    } catch (error) {
      if (!isStatus(error, 'Conflict') || attempt === ATTEMPTS_MAX) throw error
    }
  }
}
