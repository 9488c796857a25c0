import { createWriteStream, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Home } from '../home.ts'
import { UserError } from '../user-error.ts'

/** Loads the images of an archive into this node; `-` reads standard input. */
export async function importImage(home: Home, file: string): Promise<void> {
  const node = await openNode(home)
  if (file !== '-' && !existsSync(file)) throw new UserError(`Cannot import ${file}: there is no such file`)
  const dir = file === '-' ? await mkdtemp(join(tmpdir(), 'centaurus-import-')) : undefined
  try {
    const archive = dir === undefined ? file : join(dir, 'image.tar')
    if (dir !== undefined) await pipeline(process.stdin, createWriteStream(archive))
    const names = await node.importImage(archive).catch((cause: unknown) => {
      throw new UserError((cause as Error).message, { cause })
    })
    for (const name of names) process.stdout.write(`Imported ${name}\n`)
  } finally {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true })
  }
}

/** Prints the images that pods can use without a registry. */
export async function listImages(home: Home): Promise<void> {
  const node = await openNode(home)
  const images = await node.listImages()
  for (const { repoTags, sizeBytes } of images) {
    for (const tag of repoTags)
      process.stdout.write(`${tag.padEnd(60)} ${(sizeBytes / 1e6).toFixed(1).padStart(8)} MB\n`)
  }
}

interface NodeImages {
  importImage(file: string): Promise<readonly string[]>
  listImages(): Promise<readonly { readonly repoTags: readonly string[]; readonly sizeBytes: number }[]>
}

async function openNode(home: Home): Promise<NodeImages> {
  const { containerdPaths, createCriRuntime, importImage: load } = await import('@centaurus/node')
  const { socket } = containerdPaths(home.containerdDir)
  if (!existsSync(socket))
    throw new UserError('There is no node with real containers here. Start one with ./centaurus up')
  return {
    importImage: (file) => load(file, { socket }),
    async listImages() {
      const runtime = createCriRuntime({ endpoint: `unix://${socket}` })
      try {
        return await runtime.listImages()
      } finally {
        await runtime.close()
      }
    },
  }
}
