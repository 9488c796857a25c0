import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBusyboxImage, buildPauseImage } from '@centaurus/images'
import { importImage } from '@centaurus/node'

/** Holds a pod's namespaces; built here, so that no registry is needed for it. */
export const PAUSE_IMAGE = 'localhost/centaurus/pause:1'

/** Debian's busybox as an image, for the examples and for trying things out. */
export const BUSYBOX_IMAGE = 'localhost/centaurus/busybox:1'

/** Builds the images that the project brings and loads them into the containerd at `socket`. */
export async function importNodeImages(socket: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'centaurus-images-'))
  try {
    const images = {
      pause: buildPauseImage({ name: PAUSE_IMAGE }),
      busybox: await buildBusyboxImage({ name: BUSYBOX_IMAGE }),
    }
    for (const [name, archive] of Object.entries(images)) {
      const file = join(dir, `${name}.tar`)
      await writeFile(file, archive)
      await importImage(file, { socket })
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
