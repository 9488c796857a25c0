import { DEFAULT_QUALITY, type NetworkQuality } from '@centaurus/api'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import type { Dataplane, Shaper } from '../dataplane/dataplane.ts'
import { SHAPERS_MAX, SHAPERS_RESERVED } from '../layouts/shaping.ts'
import { levelOf, qualityOf } from './levels.ts'

type Shapers = Pick<Dataplane, 'listEndpoints' | 'listShapers' | 'removeShaper' | 'setShaper'>

/**
 * Which shaper each pod of this host has: one of its own, by which a level is fair among its pods. Its number stays when the quality changes, so that what it has sent
 * already counts. Nothing is kept but what is in the kernel.
 */
export class ShaperBook {
  readonly #dataplane: Shapers
  /** By endpoint. */
  readonly #numbers = new Map<string, number>()
  readonly #known = new Map<number, Shaper>()

  /** Takes over what an earlier daemon left; shapers that no endpoint names are freed. */
  constructor(dataplane: Shapers) {
    this.#dataplane = dataplane
    for (const endpoint of dataplane.listEndpoints())
      if (endpoint.shaper >= SHAPERS_RESERVED) this.#numbers.set(keyOf(endpoint), endpoint.shaper)
    const named = new Set(this.#numbers.values())
    for (const shaper of dataplane.listShapers()) {
      if (named.has(shaper.id)) this.#known.set(shaper.id, shaper)
      else dataplane.removeShaper(shaper.id)
    }
  }

  /**
   * The shaper that gives the endpoint this quality; it holds from now on for packets that name it. The endpoint is to be written with it. Throws `DataplaneError` when the host has no more.
   */
  shaperOf(endpoint: EndpointName, quality: NetworkQuality): number {
    const level = levelOf(quality)
    const { egressBandwidth, ingressBandwidth } = quality
    const id = this.#numbers.get(keyOf(endpoint)) ?? this.#freeNumber()
    const shaper: Shaper = {
      id,
      level,
      ...(egressBandwidth === undefined ? {} : { egressBandwidth }),
      ...(ingressBandwidth === undefined ? {} : { ingressBandwidth }),
    }
    if (!isSame(this.#known.get(id), shaper)) this.#dataplane.setShaper(shaper)
    this.#known.set(id, shaper)
    this.#numbers.set(keyOf(endpoint), id)
    return id
  }

  /** What an endpoint that names the shaper has been given. */
  qualityOf(id: number): NetworkQuality {
    if (id < SHAPERS_RESERVED) return id === 0 ? DEFAULT_QUALITY : qualityOf(id - 1)
    const shaper = this.#known.get(id)
    if (shaper === undefined) return DEFAULT_QUALITY
    const { level, id: _, ...limits } = shaper
    return { ...qualityOf(level), ...limits }
  }

  /** The endpoint is gone: what it named is free. */
  release(endpoint: EndpointName): void {
    const id = this.#numbers.get(keyOf(endpoint))
    if (id === undefined) return
    this.#dataplane.removeShaper(id)
    this.#known.delete(id)
    this.#numbers.delete(keyOf(endpoint))
  }

  #freeNumber(): number {
    for (let id = SHAPERS_RESERVED; id < SHAPERS_MAX; id++) if (!this.#known.has(id)) return id
    // as many as endpoints: only a host with more pods than it may have comes here
    throw new DataplaneError(`Cannot shape another pod: this host has ${SHAPERS_MAX - SHAPERS_RESERVED}`)
  }
}

export interface EndpointName {
  readonly vni: number
  readonly ip: string
}

function keyOf({ vni, ip }: EndpointName): string {
  return `${vni} ${ip}`
}

function isSame(a: Shaper | undefined, b: Shaper): boolean {
  return a?.level === b.level && a.egressBandwidth === b.egressBandwidth && a.ingressBandwidth === b.ingressBandwidth
}
