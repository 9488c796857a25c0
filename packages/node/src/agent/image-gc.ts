import type { NodeReporter } from '../node/node-reporter.ts'
import type { RuntimeImage } from '../runtime/container-runtime.ts'
import type { PodDeps } from './pod-context.ts'

/** Removes unused images, largest first, when the disk is fuller than the high mark, until it is down to the low one. */
export async function collectImages({
  deps,
  reporter,
}: {
  readonly deps: PodDeps
  readonly reporter: NodeReporter
}): Promise<void> {
  const { config, runtime, cache, logger } = deps
  const snapshot = reporter.snapshot
  if (snapshot === undefined) return
  const usedPercent = 100 - snapshot.pressure.diskAvailablePercent
  if (usedPercent < config.imageGcHighPercent) return
  const excessBytes = ((usedPercent - config.imageGcLowPercent) / 100) * snapshot.facts.ephemeralStorageBytes
  const inUse = new Set(
    cache.podUids().flatMap((uid) => cache.get(uid).containers.flatMap(({ image, imageId }) => [image, imageId])),
  )
  for (const image of planImageRemoval(await runtime.listImages(), inUse, excessBytes)) {
    logger.info('Removing unused image', { image: image.repoTags[0] ?? image.id })
    await runtime.removeImage(image.id)
  }
}

/** Unused and not pinned, until `excessBytes` would be free. Pure. */
export function planImageRemoval(
  images: readonly RuntimeImage[],
  inUse: ReadonlySet<string>,
  excessBytes: number,
): RuntimeImage[] {
  const isUsed = (image: RuntimeImage): boolean =>
    [image.id, ...image.repoTags, ...image.repoDigests].some((name) => inUse.has(name))
  const plan: RuntimeImage[] = []
  let freed = 0
  for (const image of images
    .filter((image) => !image.pinned && !isUsed(image))
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)) {
    if (freed >= excessBytes) break
    plan.push(image)
    freed += image.sizeBytes
  }
  return plan
}
