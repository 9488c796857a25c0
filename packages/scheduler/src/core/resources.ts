import { quantityMilliValue, quantityValue } from '@centaurus/api'
import type { PodSpec } from '@centaurus/api/core/v1'
import { summedRequests } from '@centaurus/api/gpu'

/** Columns that every cluster has (2 is ephemeral storage); extended resources get further ones as they are met. */
export const CPU = 0
export const MEMORY = 1
export const PODS = 3

/** Amounts by column: cpu in milli-cores, everything else in units (bytes, pods, devices). */
export type ResourceVector = readonly number[]

/** Numbers the resources of a cluster, so that amounts are columns and not maps. Grows, never shrinks. */
export class ResourceIndex {
  readonly #names: string[] = ['cpu', 'memory', 'ephemeral-storage', 'pods']
  readonly #columns = new Map(this.#names.map((name, column) => [name, column]))

  get size(): number {
    return this.#names.length
  }

  nameOf(column: number): string {
    return this.#names[column] ?? ''
  }

  /** The column of a resource, new if need be. */
  columnOf(name: string): number {
    const known = this.#columns.get(name)
    if (known !== undefined) return known
    this.#columns.set(name, this.#names.length)
    return this.#names.push(name) - 1
  }

  /** Reads a resource list of the API, such as `status.allocatable`. */
  toVector(list: Readonly<Record<string, string>> | undefined): number[] {
    const vector: number[] = Array.from({ length: this.size }, () => 0)
    for (const [name, quantity] of Object.entries(list ?? {})) {
      const column = this.columnOf(name)
      while (vector.length <= column) vector.push(0)
      vector[column] = column === CPU ? quantityMilliValue(quantity) : quantityValue(quantity)
    }
    return vector
  }

  /** Amounts by name as a vector. */
  vectorOf(amounts: Readonly<Record<string, number>>): number[] {
    const vector: number[] = Array.from({ length: this.size }, () => 0)
    for (const [name, amount] of Object.entries(amounts)) {
      const column = this.columnOf(name)
      while (vector.length <= column) vector.push(0)
      vector[column] = amount
    }
    return vector
  }

  /** The amounts by resource name, without zeros. */
  toAmounts(vector: ResourceVector): Record<string, number> {
    const named: Record<string, number> = {}
    for (const [column, amount] of vector.entries()) if (amount !== 0) named[this.nameOf(column)] = amount
    return named
  }

  /** What a pod asks of a node as sums, so without parts of GPUs; the column of pods stays 0. */
  requestsOf(spec: Readonly<PodSpec>): number[] {
    return this.vectorOf(summedRequests(spec))
  }
}
