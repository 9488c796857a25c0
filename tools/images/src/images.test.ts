import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'

import { buildBusyboxImage } from './busybox.ts'
import { buildPauseImage } from './pause.ts'
import { writeTar } from './tar.ts'

const listTar = (tar: Uint8Array): string[] => execFileSync('tar', ['-t'], { input: tar }).toString().trim().split('\n')

describe('images', () => {
  it('writes archives that tar reads', () => {
    const tar = writeTar([
      { type: 'folder', path: 'a' },
      { type: 'file', path: 'a/b', data: Buffer.from('text'), mode: 0o755 },
      { type: 'symlink', path: 'c', target: 'a/b' },
    ])
    assert.deepEqual(listTar(tar), ['a/', 'a/b', 'c'])
    assert.equal(execFileSync('tar', ['-xO', 'a/b'], { input: tar }).toString(), 'text')
  })

  it('lays an image out as OCI says, the same each time', () => {
    const image = buildPauseImage({ name: 'example.com/pause:1' })
    assert.deepEqual(image, buildPauseImage({ name: 'example.com/pause:1' }))
    assert.deepEqual(listTar(image).slice(0, 4), ['oci-layout', 'index.json', 'blobs/', 'blobs/sha256/'])
    const index = JSON.parse(execFileSync('tar', ['-xO', 'index.json'], { input: image }).toString()) as {
      manifests: { annotations: Record<string, string> }[]
    }
    assert.equal(index.manifests[0]?.annotations['io.containerd.image.name'], 'example.com/pause:1')
  })

  it('says what to install when busybox is not there', async () => {
    await assert.rejects(
      buildBusyboxImage({ name: 'x:1', busybox: '/nowhere/busybox' }),
      /install the package busybox-static/,
    )
  })
})
