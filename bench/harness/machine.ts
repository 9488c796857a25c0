import { availableParallelism, cpus, release, totalmem } from 'node:os'

/** One line that says where figures were measured. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU'
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  return `${availableParallelism()} × ${model}, ${gibibytes} GiB, Linux ${release()}, Node ${process.versions.node}`
}
