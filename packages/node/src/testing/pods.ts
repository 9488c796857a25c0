import type { Container, Pod } from '@centaurus/api/core/v1'

import { hashContainer } from '../pod/container-hash.ts'
import { createRuntimeState, type PodRuntimeState } from '../pod/runtime-state.ts'
import type { ContainerDetail, SandboxDetail } from '../runtime/container-runtime.ts'
import { ANNOTATION_HASH, ANNOTATION_RESTART_COUNT } from '../runtime/labels.ts'

/** A pod of one namespace, with what the API would have set. */
export function makePod(spec: Partial<NonNullable<Pod['spec']>> = {}, rest: Partial<Pod> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    ...rest,
    metadata: { name: 'web', namespace: 'default', uid: 'uid-1', generation: 1, ...rest.metadata },
    spec: { containers: [{ name: 'main', image: 'app:1' }], restartPolicy: 'Always', nodeName: 'node-1', ...spec },
  }
}

/** A sandbox as the runtime reports it. */
export function makeSandbox(fields: Partial<SandboxDetail> = {}): SandboxDetail {
  const base = {
    id: 'sandbox-0',
    podUid: 'uid-1',
    podName: 'web',
    podNamespace: 'default',
    attempt: 0,
    ready: true,
    createdAtMs: 1_000,
  }
  return { ...base, labels: {}, annotations: {}, ips: ['10.0.0.5'], ...fields }
}

/** A container as the runtime reports it, made from `spec`. */
export function makeContainer(spec: Container, fields: Partial<ContainerDetail> = {}): ContainerDetail {
  const attempt = fields.attempt ?? 0
  return {
    id: `${spec.name}-${attempt}`,
    sandboxId: 'sandbox-0',
    podUid: 'uid-1',
    name: spec.name,
    attempt,
    phase: 'running',
    createdAtMs: 2_000 + attempt,
    labels: {},
    annotations: { [ANNOTATION_HASH]: hashContainer(spec), [ANNOTATION_RESTART_COUNT]: String(attempt) },
    startedAtMs: 2_000,
    finishedAtMs: fields.phase === 'exited' ? 3_000 : 0,
    exitCode: 0,
    reason: '',
    message: '',
    image: spec.image ?? '',
    imageId: 'sha256:1',
    logPath: '/logs/0.log',
    ...fields,
  }
}

/** A state with one ready sandbox. */
export function makeState(
  containers: readonly ContainerDetail[] = [],
  sandboxes: readonly SandboxDetail[] = [makeSandbox()],
): PodRuntimeState {
  return createRuntimeState(sandboxes, containers)
}
