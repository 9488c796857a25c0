import type { Container, Pod, Probe } from '@centaurus/api/core/v1'

import type { Dialer } from '../host/node-host.ts'
import { resolvePort } from '../pod/ports.ts'
import { ExecTimeoutError, type ContainerRuntime } from '../runtime/container-runtime.ts'

export interface ProbeDeps {
  readonly runtime: ContainerRuntime
  readonly dialer: Dialer
}

export interface ProbeOutcome {
  readonly result: 'success' | 'failure' | 'unknown'
  readonly output: string
  /** The probe could not be carried out, as against: it was, and said no. */
  readonly errored: boolean
}

export interface ProbeTarget {
  readonly container: Container
  readonly containerId: string
  readonly podIp: string
  readonly timeoutMs: number
}

/** Runs a probe once. Never throws. Source: kubelet prober.runProbe and pkg/probe/*, v1.37. */
export async function runProbe(pod: Pod, probe: Probe, target: ProbeTarget, deps: ProbeDeps): Promise<ProbeOutcome> {
  try {
    if (probe.exec !== undefined) return await probeExec(probe.exec.command ?? [], target, deps)
    if (probe.httpGet !== undefined) return await probeHttp(probe.httpGet, target, deps)
    if (probe.tcpSocket !== undefined) {
      const host =
        probe.tcpSocket.host === undefined || probe.tcpSocket.host === '' ? target.podIp : probe.tcpSocket.host
      return await knock(() =>
        deps.dialer.tcp(host, resolvePort(probe.tcpSocket!.port, target.container), target.timeoutMs),
      )
    }
    if (probe.grpc !== undefined) return await probeGrpc(probe.grpc, target, deps)
    return errored(
      'failure',
      `missing probe handler for ${pod.metadata.namespace ?? ''}/${pod.metadata.name ?? ''}:${target.container.name}`,
    )
  } catch (error) {
    return errored('failure', messageOf(error))
  }
}

async function probeExec(
  command: readonly string[],
  { containerId, timeoutMs }: ProbeTarget,
  { runtime }: ProbeDeps,
): Promise<ProbeOutcome> {
  try {
    const { exitCode, stdout, stderr } = await runtime.execSync(containerId, command, Math.ceil(timeoutMs / 1000))
    const output = Buffer.concat([stdout, stderr]).toString()
    return { result: exitCode === 0 ? 'success' : 'failure', output, errored: false }
  } catch (error) {
    if (error instanceof ExecTimeoutError)
      return { result: 'failure', output: `command timed out: ${error.message}`, errored: false }
    return errored('unknown', messageOf(error))
  }
}

type HttpGet = NonNullable<Probe['httpGet']>

async function probeHttp(
  get: HttpGet,
  { container, podIp, timeoutMs }: ProbeTarget,
  { dialer }: ProbeDeps,
): Promise<ProbeOutcome> {
  const request = {
    scheme: get.scheme === 'HTTPS' ? 'https' : 'http',
    host: get.host === undefined || get.host === '' ? podIp : get.host,
    port: resolvePort(get.port, container),
    path: get.path === undefined || get.path === '' ? '/' : get.path,
    headers: get.httpHeaders ?? [],
    timeoutMs,
  } as const
  try {
    const { status, body } = await dialer.http(request)
    // A redirect counts as an answer; upstream follows those to the same host, which ends the same way for a healthy server.
    if (status >= 200 && status < 400) return { result: 'success', output: body, errored: false }
    return { result: 'failure', output: `HTTP probe failed with statuscode: ${status}`, errored: false }
  } catch (error) {
    return { result: 'failure', output: messageOf(error), errored: false }
  }
}

type GrpcAction = NonNullable<Probe['grpc']>

async function probeGrpc(
  { port, service }: GrpcAction,
  { podIp, timeoutMs }: ProbeTarget,
  { dialer }: ProbeDeps,
): Promise<ProbeOutcome> {
  try {
    const status = await dialer.grpcHealth(podIp, port, { service: service ?? '', timeoutMs })
    if (status === 'SERVING') return { result: 'success', output: 'service healthy', errored: false }
    return { result: 'failure', output: `service unhealthy (responded with "${status}")`, errored: false }
  } catch (error) {
    return {
      result: 'failure',
      output: `timeout: failed to connect service "${podIp}:${port}" within ${timeoutMs / 1000}s: ${messageOf(error)}`,
      errored: false,
    }
  }
}

async function knock(dial: () => Promise<void>): Promise<ProbeOutcome> {
  try {
    await dial()
    return { result: 'success', output: '', errored: false }
  } catch (error) {
    return { result: 'failure', output: messageOf(error), errored: false }
  }
}

function errored(result: ProbeOutcome['result'], output: string): ProbeOutcome {
  return { result, output, errored: true }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
