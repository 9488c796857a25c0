import type { Pod } from '@centaurus/api/core/v1'
import { compileFootprint, footprintKey, type CompileDeps, type PodFootprint } from './pod-footprint.ts'
import { compilePod, requirementsKey, type PodRequirements } from './pod-requirements.ts'

/** Compiled pods that are kept, of each kind. */
const COMPILED_MAX = 4_096

/** Compiles pods, those that are alike once. */
export class PodCompiler {
  readonly #deps: CompileDeps
  readonly #requirements = new Recent<PodRequirements>()
  readonly #footprints = new Recent<PodFootprint>()

  constructor(deps: CompileDeps) {
    this.#deps = deps
  }

  /** What a pod without a node asks for. */
  requirements(pod: Readonly<Pod>): PodRequirements {
    const key = requirementsKey(pod)
    return this.#requirements.get(key) ?? this.#requirements.set(key, compilePod(pod, this.#deps, key))
  }

  /** What a pod on a node is to others. */
  footprint(pod: Readonly<Pod>, key = footprintKey(pod)): PodFootprint {
    return this.#footprints.get(key) ?? this.#footprints.set(key, compileFootprint(pod, this.#deps, key))
  }
}

/** The values that were used last. */
class Recent<Value> {
  readonly #values = new Map<string, Value>()

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  /** Forgets the oldest half when it is full. */
  set(key: string, value: Value): Value {
    if (this.#values.size >= COMPILED_MAX) {
      let drop = COMPILED_MAX / 2
      for (const old of this.#values.keys()) {
        if (drop-- <= 0) break
        this.#values.delete(old)
      }
    }
    this.#values.set(key, value)
    return value
  }
}
