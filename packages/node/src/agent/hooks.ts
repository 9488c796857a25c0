import type { Container } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'

import type { Dialer } from '../host/node-host.ts'
import { resolvePort } from '../pod/ports.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'

export type LifecycleHandler = NonNullable<NonNullable<Container['lifecycle']>['preStop']>

export interface HookDeps {
  readonly runtime: ContainerRuntime
  readonly clock: Clock
  readonly dialer: Dialer
}

export interface HookTarget {
  readonly container: Container
  readonly containerId: string
  readonly podIp: string
  /** Longest time the hook may take, ms. */
  readonly timeoutMs: number
}

/** Runs a postStart or preStop handler to its end; throws when it fails or takes too long. Source: kubelet lifecycle/handlers.go, v1.37. */
export async function runHook(handler: LifecycleHandler, target: HookTarget, deps: HookDeps): Promise<void> {
  const { container, containerId, podIp, timeoutMs } = target
  if (handler.exec !== undefined) {
    const command = handler.exec.command ?? []
    const result = await deps.runtime.execSync(containerId, command, Math.ceil(timeoutMs / 1000))
    if (result.exitCode !== 0) {
      const output = Buffer.concat([result.stdout, result.stderr]).toString()
      throw new Error(`command '${command.join(' ')}' exited with ${result.exitCode}: ${output}`)
    }
  } else if (handler.httpGet !== undefined) {
    const { scheme, host, port, path, httpHeaders } = handler.httpGet
    const request = {
      scheme: scheme === 'HTTPS' ? 'https' : 'http',
      host: host === undefined || host === '' ? podIp : host,
      port: resolvePort(port, container),
      path: path ?? '/',
      headers: httpHeaders ?? [],
      timeoutMs,
    } as const
    await deps.dialer.http(request)
  } else if (handler.sleep !== undefined) {
    await deps.clock.sleep(Math.min(handler.sleep.seconds * 1000, timeoutMs))
  } else {
    throw new Error('invalid handler: it must have exec, httpGet or sleep')
  }
}
