import type { Container, PodSpec } from '@centaurus/api/core/v1'
import type { ResourceIndex } from './resources.ts'

/**
 * What a pod asks of a node, by column. Containers and sidecars add up; an ordinary init container counts with the sidecars that
 * start before it; the larger of both phases wins; pod-level requests replace the sum where they are set; overhead comes on top.
 * Source: component-helpers resource.PodRequests, v1.37.
 */
export function podResourceRequests(spec: Readonly<PodSpec>, index: ResourceIndex): number[] {
  const running = sumOf((spec.containers ?? []).map((container) => requestsOf(container, index)))
  let sidecars: number[] = []
  let initPeak: number[] = []
  for (const container of spec.initContainers ?? []) {
    const own = requestsOf(container, index)
    if (container.restartPolicy === 'Always') {
      sidecars = sumOf([sidecars, own])
      initPeak = maxOf(initPeak, sidecars)
    } else {
      initPeak = maxOf(initPeak, sumOf([sidecars, own]))
    }
  }
  const total = maxOf(sumOf([running, sidecars]), initPeak)
  for (const [name, quantity] of Object.entries(spec.resources?.requests ?? {})) {
    const column = index.columnOf(name)
    while (total.length <= column) total.push(0)
    total[column] = index.toVector({ [name]: quantity })[column]!
  }
  const withOverhead = sumOf([total, index.toVector(spec.overhead)])
  while (withOverhead.length < index.size) withOverhead.push(0)
  return withOverhead
}

function requestsOf(container: Readonly<Container>, index: ResourceIndex): number[] {
  return index.toVector(container.resources?.requests)
}

function sumOf(vectors: readonly (readonly number[])[]): number[] {
  const length = Math.max(0, ...vectors.map((vector) => vector.length))
  return Array.from({ length }, (_, column) => vectors.reduce((sum, vector) => sum + (vector[column] ?? 0), 0))
}

function maxOf(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, column) => Math.max(a[column] ?? 0, b[column] ?? 0))
}
