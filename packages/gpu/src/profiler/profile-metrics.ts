import { Counter, Gauge, Registry } from 'prom-client'
import type { GpuUse, HostGpu } from '../sources/device-source.ts'
import type { DeviceReading } from './profiler.ts'

/** Containers that have time series of their own; those that launched most are kept. */
const READINGS_MAX = 500
const MIB = 2 ** 20

/** What is read when somebody asks. */
export interface ProfileReadings {
  readonly node: string
  readonly devices: readonly HostGpu[]
  readonly uses: readonly GpuUse[]
  readonly containers: readonly DeviceReading[]
}

/** Labels as NVIDIA's dcgm-exporter has them. */
const DCGM_LABELS = ['gpu', 'UUID', 'modelName', 'Hostname', 'namespace', 'pod', 'container'] as const
/** Labels as Alnair's exporter has them, with the container in place of the pid. */
const ALNAIR_LABELS = ['gpu_uuid', 'gpu_idx', 'nodeName', 'namespace', 'pod_name', 'container'] as const
type DcgmLabels = Record<(typeof DCGM_LABELS)[number], string>
type AlnairLabels = Record<(typeof ALNAIR_LABELS)[number], string>

/** Use of GPUs as Prometheus text. Of each GPU as a whole, as the driver says, without a pod; and of each container. */
export async function formatProfileMetrics(readings: ProfileReadings): Promise<{ contentType: string; text: string }> {
  const registry = new Registry()
  const metrics = createMetrics(registry)
  for (const device of readings.devices) setDevice(metrics, device, readings)
  const kept = readings.containers.toSorted((a, b) => b.launches - a.launches).slice(0, READINGS_MAX)
  for (const reading of kept) {
    const device = readings.devices.find(({ uuid }) => uuid === reading.uuid)
    if (device !== undefined) setContainer(metrics, device, { reading, node: readings.node })
  }
  return { contentType: registry.contentType, text: await registry.metrics() }
}

type Metrics = ReturnType<typeof createMetrics>

/** Sources: dcgm-exporter etc/default-counters.csv; CentaurusInfra/alnair alnair-profiler/alnair-exporter. */
function createMetrics(registry: Registry) {
  const registers = [registry]
  const dcgm = (name: string, help: string) =>
    new Gauge({ name: `DCGM_FI_DEV_${name}`, help, labelNames: DCGM_LABELS, registers })
  const alnair = (name: string, help: string) =>
    new Gauge({ name: `alnair_${name}`, help, labelNames: ALNAIR_LABELS, registers })
  return {
    gpuUtil: dcgm('GPU_UTIL', 'GPU utilization (in %).'),
    memoryCopyUtil: dcgm('MEM_COPY_UTIL', 'Memory utilization (in %).'),
    memoryUsed: dcgm('FB_USED', 'Framebuffer memory used (in MiB).'),
    memoryFree: dcgm('FB_FREE', 'Framebuffer memory free (in MiB), of what the container may have.'),
    util: alnair('gpu_util', "Percent of the GPU's time that the container uses."),
    memoryUtil: alnair('gpu_mem_util', "Percent of the GPU's memory that the container uses."),
    memoryBytes: alnair('cuda_mem_used', 'Bytes of the GPU that the container uses.'),
    tokens: alnair(
      'cuda_available_token',
      "Milliseconds of the GPU's time that the container may use at once; negative: owed.",
    ),
    launches: new Counter({
      name: 'alnair_cuda_launch_kernel_cnt',
      help: 'Launches of kernels and graphs by the container since the profiler knows it.',
      labelNames: ALNAIR_LABELS,
      registers,
    }),
  }
}

function setDevice(metrics: Metrics, device: HostGpu, { node, uses }: ProfileReadings): void {
  const use = uses.find(({ uuid }) => uuid === device.uuid)
  const labels = dcgmLabels(device, node, { namespace: '', pod: '', container: '' })
  if (use?.gpuPercent !== undefined) metrics.gpuUtil.set(labels, use.gpuPercent)
  if (use?.memoryPercent !== undefined) metrics.memoryCopyUtil.set(labels, use.memoryPercent)
  if (use?.memoryUsedMiB === undefined) return
  metrics.memoryUsed.set(labels, use.memoryUsedMiB)
  metrics.memoryFree.set(labels, Math.max(0, device.memoryMiB - use.memoryUsedMiB))
}

function setContainer(
  metrics: Metrics,
  device: HostGpu,
  { reading, node }: { readonly reading: DeviceReading; readonly node: string },
): void {
  const { sample, launches, container } = reading
  const { namespace = '', name: pod = '' } = container.pod.metadata
  const dcgm = dcgmLabels(device, node, { namespace, pod, container: container.container })
  const usedMiB = sample.memoryBytes / MIB
  const mayHaveMiB = container.grants.find(({ uuid }) => uuid === device.uuid)?.memoryMiB ?? device.memoryMiB
  metrics.gpuUtil.set(dcgm, sample.percent)
  metrics.memoryUsed.set(dcgm, usedMiB)
  metrics.memoryFree.set(dcgm, Math.max(0, mayHaveMiB - usedMiB))
  const alnair: AlnairLabels = {
    gpu_uuid: device.uuid,
    gpu_idx: String(device.index),
    nodeName: node,
    namespace,
    pod_name: pod,
    container: container.container,
  }
  metrics.util.set(alnair, sample.percent)
  metrics.memoryUtil.set(alnair, (usedMiB / device.memoryMiB) * 100)
  metrics.memoryBytes.set(alnair, sample.memoryBytes)
  metrics.tokens.set(alnair, sample.tokensMs)
  metrics.launches.inc(alnair, launches)
}

function dcgmLabels(
  { uuid, index, model }: HostGpu,
  node: string,
  user: Pick<DcgmLabels, 'namespace' | 'pod' | 'container'>,
): DcgmLabels {
  return { gpu: String(index), UUID: uuid, modelName: model, Hostname: node, ...user }
}
