/** Machines that people know, for simulations. */
import { GPU_LINKS } from '@centaurus/api/gpu'

/** How the GPUs of a machine are connected. */
export type Topology =
  /** Every GPU with every other, by NVSwitch. */
  | 'nvswitch'
  /** Pairs by an NVLink bridge, the rest by PCIe. */
  | 'nvlink-bridges'
  /** Eight GPUs as in a DGX-1: each has NVLinks to four others. */
  | 'cube-mesh'
  /** Pairs on one PCIe switch, the rest through the CPUs. */
  | 'pcie'

/** A machine, or a part of it: all of its GPUs are alike. */
export interface MachineShape {
  readonly count: number
  /** As the driver names it. */
  readonly model: string
  readonly memoryMiB: number
  readonly multiprocessors: number
  /** NUMA nodes of the host; GPUs are spread evenly, in order. */
  readonly numaNodes: number
  readonly topology: Topology
  /** NVLinks between two GPUs that have any. */
  readonly nvlinks: number
}

export const TOPOLOGIES: readonly Topology[] = ['nvswitch', 'nvlink-bridges', 'cube-mesh', 'pcie']
/** GPUs of a cube mesh. */
export const CUBE_MESH_COUNT = 8

/** Sources: NVIDIA's data sheets; memory as `nvidia-smi` shows it. */
export const PRESETS: Readonly<Record<string, MachineShape>> = {
  'dgx-1': shape('Tesla V100-SXM2-32GB', { memoryMiB: 32_768, multiprocessors: 80, topology: 'cube-mesh', nvlinks: 1 }),
  'dgx-a100': nvswitch('NVIDIA A100-SXM4-40GB', { memoryMiB: 40_960, multiprocessors: 108, nvlinks: 12 }),
  'dgx-a100-80gb': nvswitch('NVIDIA A100-SXM4-80GB', { memoryMiB: 81_920, multiprocessors: 108, nvlinks: 12 }),
  'dgx-h100': nvswitch('NVIDIA H100 80GB HBM3', { memoryMiB: 81_559, multiprocessors: 132, nvlinks: 18 }),
  'dgx-h200': nvswitch('NVIDIA H200', { memoryMiB: 143_771, multiprocessors: 132, nvlinks: 18 }),
  'dgx-b200': nvswitch('NVIDIA B200', { memoryMiB: 183_359, multiprocessors: 148, nvlinks: 18 }),
  'pcie-a100': shape('NVIDIA A100-PCIE-40GB', {
    count: 4,
    memoryMiB: 40_960,
    multiprocessors: 108,
    topology: 'nvlink-bridges',
    nvlinks: 12,
  }),
  'pcie-l40s': shape('NVIDIA L40S', { memoryMiB: 46_068, multiprocessors: 142 }),
  'pcie-t4': shape('Tesla T4', { count: 4, memoryMiB: 15_360, multiprocessors: 40 }),
}

type Facts = Pick<MachineShape, 'memoryMiB' | 'multiprocessors'> & Partial<MachineShape>

function shape(model: string, facts: Facts): MachineShape {
  return { count: 8, numaNodes: 2, topology: 'pcie', nvlinks: 0, ...facts, model }
}

function nvswitch(model: string, facts: Facts): MachineShape {
  return shape(model, { ...facts, topology: 'nvswitch' })
}

/** On which NUMA node GPU `i` of a machine is. */
export function numaOf({ count, numaNodes }: Pick<MachineShape, 'count' | 'numaNodes'>, i: number): number {
  return Math.floor((i * numaNodes) / count)
}

/** How near GPUs `i` and `j` of a machine are, by `GPU_LINKS`. */
export function linkOf(machine: MachineShape, i: number, j: number): number {
  const nvlinks = nvlinksOf(machine, i, j)
  if (nvlinks > 0) return GPU_LINKS.nvlink + nvlinks
  if (numaOf(machine, i) !== numaOf(machine, j)) return GPU_LINKS.otherNuma
  return isPair(i, j) ? GPU_LINKS.oneSwitch : GPU_LINKS.sameNuma
}

function nvlinksOf({ topology, nvlinks }: MachineShape, i: number, j: number): number {
  if (topology === 'nvswitch') return nvlinks
  if (topology === 'nvlink-bridges') return isPair(i, j) ? nvlinks : 0
  return topology === 'cube-mesh' ? nvlinks * CUBE_MESH[i]![j]! : 0
}

function isPair(i: number, j: number): boolean {
  return i >> 1 === j >> 1
}

/** NVLinks between the GPUs of a DGX-1 with V100s, six each. Source: `nvidia-smi topo -m` there. */
const CUBE_MESH: readonly (readonly number[])[] = [
  [0, 1, 1, 2, 2, 0, 0, 0],
  [1, 0, 2, 1, 0, 2, 0, 0],
  [1, 2, 0, 2, 0, 0, 1, 0],
  [2, 1, 2, 0, 0, 0, 0, 1],
  [2, 0, 0, 0, 0, 1, 1, 2],
  [0, 2, 0, 0, 1, 0, 2, 1],
  [0, 0, 1, 0, 1, 2, 0, 2],
  [0, 0, 0, 1, 2, 1, 2, 0],
]
