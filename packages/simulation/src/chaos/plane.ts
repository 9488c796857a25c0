import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'

/** Parts of a control plane that can be started again alone. */
export const PLANE_PARTS = ['scheduler', 'controllers'] as const
export type PlanePart = (typeof PLANE_PARTS)[number]

export interface PlaneOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Puts faults between the server and the part of that name. */
  readonly connect: (client: Client, part: PlanePart | 'informers') => Client
}

/** A control plane: API server, controllers and scheduler. Whoever runs chaos brings one; this package does not know how it is wired. */
export interface Plane {
  /** May do everything. */
  readonly client: Client
  /** Ends the part and starts it over the informers that are there. */
  restart(part: PlanePart): Promise<void>
  /** Ends everything but the store. */
  close(): Promise<void>
}

export type StartPlane = (options: PlaneOptions) => Promise<Plane>
