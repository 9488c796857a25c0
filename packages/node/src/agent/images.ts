import { secrets, type Container, type Pod } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'

import type { ContainerRuntime, RegistryAuth, RuntimeImage } from '../runtime/container-runtime.ts'
import type { SandboxConfig } from '../runtime/config.ts'
import { parseImageReference } from '../pod/image-reference.ts'
import type { ObjectCache } from './object-cache.ts'
import type { PodEvent } from './pod-events.ts'

const PULL_DELAY_BASE_MS = 10_000
const PULL_DELAY_MAX_MS = 300_000
const PULL_DELAY_RESET_MS = 600_000
const BACKOFFS_MAX = 4_096

/** Why a container can't start yet. `reason` is what the status shows. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly reason: string
  /** When to try again, ms since the epoch; undefined: with the pod's own back-off. */
  readonly retryAtMs: number | undefined
  constructor(reason: string, message: string, options?: { readonly retryAtMs?: number; readonly cause?: unknown }) {
    super(message, { cause: options?.cause })
    this.reason = reason
    this.retryAtMs = options?.retryAtMs
  }
}

export interface ImagePuller {
  /** Makes sure that the container's image is there, by its pull policy. Throws {@link StartError}. */
  ensure(
    pod: Pod,
    container: Container,
    options: EnsureOptions,
  ): Promise<{ readonly ref: string; readonly image: RuntimeImage | undefined }>
  forget(podUid: string): void
}

export interface EnsureOptions {
  readonly sandbox: SandboxConfig
  readonly event: (event: PodEvent) => void
}

export interface ImagePullerDeps {
  readonly runtime: ContainerRuntime
  readonly clock: Clock
  readonly objects: ObjectCache
}

interface PullBackoff {
  delayMs: number
  untilMs: number
  lastError: string
}

/** Pulls images with upstream's events, messages and back-off (10 s doubling to 5 min, by pod and image). Source: kubelet images/image_manager.go, v1.37. */
export function createImagePuller({ runtime, clock, objects }: ImagePullerDeps): ImagePuller {
  const backoffs = new Map<string, PullBackoff>()
  const pull = async (pod: Pod, image: string, { sandbox, event }: EnsureOptions): Promise<string> => {
    const key = `${pod.metadata.uid ?? ''}_${image}`
    const backoff = backoffs.get(key)
    if (backoff !== undefined && clock.now() < backoff.untilMs) {
      const message = `Back-off pulling image "${image}"`
      event({ type: 'Normal', reason: 'BackOff', message })
      throw new StartError('ImagePullBackOff', `${message}: ${backoff.lastError}`, { retryAtMs: backoff.untilMs })
    }
    event({ type: 'Normal', reason: 'Pulling', message: `Pulling image "${image}"` })
    const startedMs = clock.monotonicMs()
    try {
      const ref = await pullWithSecrets(pod, image, sandbox, { runtime, objects })
      const size = (await runtime.imageStatus(ref).catch(() => undefined))?.sizeBytes ?? 0
      const took = formatGoDuration(clock.monotonicMs() - startedMs)
      event({
        type: 'Normal',
        reason: 'Pulled',
        message: `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${size} bytes.`,
      })
      backoffs.delete(key)
      return ref
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause)
      event({ type: 'Warning', reason: 'Failed', message: `Failed to pull image "${image}": ${detail}` })
      const isOld = backoff !== undefined && clock.now() - backoff.untilMs > PULL_DELAY_RESET_MS
      const delayMs =
        backoff === undefined || isOld ? PULL_DELAY_BASE_MS : Math.min(backoff.delayMs * 2, PULL_DELAY_MAX_MS)
      if (backoffs.size >= BACKOFFS_MAX) backoffs.delete(backoffs.keys().next().value!)
      const message = `failed to pull image "${image}": ${detail}`
      // The next attempt only tells that it waits; hence a moment after this one, not at the end of the delay.
      backoffs.set(key, { delayMs, untilMs: clock.now() + delayMs, lastError: `ErrImagePull: ${message}` })
      throw new StartError('ErrImagePull', message, { cause, retryAtMs: clock.now() + 1_000 })
    }
  }
  return {
    async ensure(pod, container, options) {
      const image = normalizeImage(container.image ?? '')
      const policy = container.imagePullPolicy ?? 'IfNotPresent'
      const present = await inspect(runtime, image, options.event)
      if (present !== undefined && policy !== 'Always') {
        const message = `Container image "${container.image ?? ''}" already present on machine and can be accessed by the pod`
        options.event({ type: 'Normal', reason: 'Pulled', message })
        return { ref: present.id, image: present }
      }
      if (policy === 'Never') {
        const message = `Container image "${container.image ?? ''}" is not present with pull policy of Never`
        options.event({ type: 'Warning', reason: 'ErrImageNeverPull', message })
        throw new StartError('ErrImageNeverPull', message)
      }
      const ref = await pull(pod, container.image ?? '', options)
      return { ref, image: await runtime.imageStatus(ref) }
    },
    forget(podUid) {
      for (const key of backoffs.keys()) if (key.startsWith(`${podUid}_`)) backoffs.delete(key)
    },
  }
}

/** Tries each matching credential, then fails with the last refusal. */
async function pullWithSecrets(
  pod: Pod,
  image: string,
  sandbox: SandboxConfig,
  { runtime, objects }: Pick<ImagePullerDeps, 'runtime' | 'objects'>,
): Promise<string> {
  const auths = await findAuths(pod, image, objects)
  if (auths.length === 0) return runtime.pullImage(image, undefined, sandbox)
  let failure: unknown
  for (const auth of auths) {
    try {
      return await runtime.pullImage(image, auth, sandbox)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

async function inspect(
  runtime: ContainerRuntime,
  image: string,
  event: EnsureOptions['event'],
): Promise<RuntimeImage | undefined> {
  try {
    return await runtime.imageStatus(image)
  } catch (cause) {
    const message = `Failed to inspect image "${image}": ${cause instanceof Error ? cause.message : String(cause)}`
    event({ type: 'Warning', reason: 'InspectFailed', message })
    throw new StartError('ImageInspectError', message, { cause })
  }
}

function normalizeImage(image: string): string {
  const parsed = parseImageReference(image)
  if (parsed === undefined) {
    throw new StartError(
      'InvalidImageName',
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`,
    )
  }
  return parsed.full
}

/** Credentials of the pod's pull secrets that match the image's registry. Source: pkg/credentialprovider, v1.37 (host match; no globs in paths). */
async function findAuths(pod: Pod, image: string, objects: ObjectCache): Promise<RegistryAuth[]> {
  const registry = parseImageReference(image)?.registry ?? ''
  const auths: RegistryAuth[] = []
  for (const { name } of pod.spec?.imagePullSecrets ?? []) {
    const secret = await objects.get(secrets, pod.metadata.namespace ?? '', name ?? '')
    const text = secret?.data?.['.dockerconfigjson'] ?? secret?.data?.['.dockercfg']
    if (text === undefined) continue
    auths.push(...readDockerConfig(Buffer.from(text, 'base64').toString(), registry))
  }
  return auths
}

interface DockerEntry {
  username?: string
  password?: string
  auth?: string
  identitytoken?: string
}

/** Entries of a docker config (new form or old) for one registry. */
export function readDockerConfig(text: string, registry: string): RegistryAuth[] {
  let parsed: { auths?: Record<string, DockerEntry> }
  try {
    parsed = JSON.parse(text) as { auths?: Record<string, DockerEntry> }
  } catch {
    return []
  }
  const entries = parsed.auths ?? parsed
  return Object.entries(entries).flatMap(([server, entry]) => {
    const host = server.replace(/^https?:\/\//, '').split('/')[0]!
    const canonical = host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host
    if (canonical !== registry) return []
    const [username, ...password] =
      entry.auth === undefined ? [] : Buffer.from(entry.auth, 'base64').toString().split(':')
    return [
      {
        username: entry.username ?? username,
        password: entry.password ?? password.join(':'),
        identityToken: entry.identitytoken,
        serverAddress: server,
      },
    ]
  })
}

/** Go's rendering, as in `1.203s` or `45ms`. */
function formatGoDuration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)}ms` : `${Math.round(ms) / 1000}s`
}
