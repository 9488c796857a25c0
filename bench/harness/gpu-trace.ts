/**
 * Nodes and pods of a trace of GPU clusters, as CSV. Source: the format of Alibaba's cluster-trace-gpu-v2023 ("openb"): nodes
 * `sn,cpu_milli,memory_mib,gpu,model`; pods `name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec…]`, `gpu_milli` being thousandths of each GPU, and
 * `gpu_spec` models that will do, separated by `|`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '@centaurus/base'

export interface TraceNode {
  readonly name: string
  readonly cpuMillicores: number
  readonly memoryMiB: number
  readonly gpus: number
  readonly model: string
}

export interface TracePod {
  readonly cpuMillicores: number
  readonly memoryMiB: number
  /** 0: none. */
  readonly gpus: number
  /** Percent of each. */
  readonly percent: number
  /** Models that will do; none: all. */
  readonly models: readonly string[]
}

/** Pods of one file. */
export interface PodList {
  readonly name: string
  readonly pods: readonly TracePod[]
}

export interface GpuTrace {
  readonly nodes: readonly TraceNode[]
  readonly lists: readonly PodList[]
}

const NODE_FILE = /node_list_gpu_node\.csv$/
const POD_FILE = /pod_list_(.+)\.csv$/

/** Reads a folder. Throws an error that says what is missing or wrong. */
export function readGpuTrace(directory: string): GpuTrace {
  const files = readdirSync(directory).toSorted()
  const nodeFile = files.find((file) => NODE_FILE.test(file)) ?? files.find((file) => file.endsWith('node_list.csv'))
  if (nodeFile === undefined) throw new Error(`Cannot find …node_list_gpu_node.csv in ${directory}`)
  const lists = files.flatMap((file) => {
    const name = POD_FILE.exec(file)?.[1]
    return name === undefined ? [] : [{ name, pods: readRows(join(directory, file)).map(podOf) }]
  })
  if (lists.length === 0) throw new Error(`Cannot find …pod_list_NAME.csv in ${directory}`)
  const nodes = readRows(join(directory, nodeFile)).map(nodeOf)
  return { nodes: nodes.filter(({ gpus }) => gpus > 0), lists }
}

/** GPUs of all nodes. */
export function gpusOf(nodes: readonly TraceNode[]): number {
  return nodes.reduce((sum, { gpus }) => sum + gpus, 0)
}

/** The pods of a list and more of them, drawn with replacement, until they ask for `share` of all GPUs; in any order. */
export function inflate(pods: readonly TracePod[], { gpus, random }: { gpus: number; random: Random }): TracePod[] {
  const arrivals = [...pods]
  const asked = (pod: TracePod): number => (pod.gpus * pod.percent) / 100
  let sum = pods.reduce((total, pod) => total + asked(pod), 0)
  if (sum === 0) throw new Error('Cannot inflate pods of which none asks for a GPU')
  while (sum < gpus) {
    const pod = pods[random.integer(pods.length)]!
    arrivals.push(pod)
    sum += asked(pod)
  }
  for (let i = arrivals.length - 1; i > 0; i--) {
    const j = random.integer(i + 1)
    ;[arrivals[i], arrivals[j]] = [arrivals[j]!, arrivals[i]!]
  }
  return arrivals
}

function readRows(path: string): Record<string, string>[] {
  const [head, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/)
  const names = head!.split(',')
  return lines.map((line) => {
    const cells = line.split(',')
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']))
  })
}

function nodeOf(row: Readonly<Record<string, string>>): TraceNode {
  return {
    name: row['sn'] ?? '',
    cpuMillicores: numberOf(row, 'cpu_milli'),
    memoryMiB: numberOf(row, 'memory_mib'),
    gpus: numberOf(row, 'gpu'),
    model: row['model'] ?? '',
  }
}

function podOf(row: Readonly<Record<string, string>>): TracePod {
  return {
    cpuMillicores: numberOf(row, 'cpu_milli'),
    memoryMiB: numberOf(row, 'memory_mib'),
    gpus: numberOf(row, 'num_gpu'),
    percent: numberOf(row, 'gpu_milli') / 10,
    models: (row['gpu_spec'] ?? '').split('|').filter((model) => model !== ''),
  }
}

function numberOf(row: Readonly<Record<string, string>>, name: string): number {
  const value = Number(row[name] || Number.NaN)
  if (Number.isNaN(value))
    throw new Error(`Cannot read the column ${name} of a row: it has ${JSON.stringify(row[name])}`)
  return value
}
