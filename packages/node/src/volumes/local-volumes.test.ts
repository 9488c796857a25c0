import assert from 'node:assert/strict'
import { lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import type { PersistentVolume } from '@centaurus/api/core/v1'

import { createLocalVolumes, type LocalVolumes } from './local-volumes.ts'

describe('local volumes', () => {
  let root: string
  let volumes: LocalVolumes
  let mounted: string[] = []
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'centaurus-local-'))
    volumes = createLocalVolumes({ dir: join(root, 'volumes'), mounter: { listBelow: async () => mounted } })
    await mkdir(join(root, 'outside'))
    await writeFile(join(root, 'outside', 'precious'), 'x')
  })
  after(() => rm(root, { recursive: true }))

  const volume = (name: string, path = join(root, 'volumes', name)): PersistentVolume => ({
    metadata: { name, annotations: { 'pv.kubernetes.io/provisioned-by': 'centaurus.io/local' } },
    spec: { local: { path } },
  })

  it('makes a folder that any user may write, once', async () => {
    const path = await volumes.ensure(volume('pvc-1'))
    assert.equal((await lstat(path)).mode & 0o777, 0o777)
    assert.equal((await lstat(join(root, 'volumes'))).mode & 0o777, 0o700)
    await writeFile(join(path, 'data'), 'x')
    await volumes.ensure(volume('pvc-1'))
    assert.deepEqual(await readdir(path), ['data'])
  })

  it('removes a folder with what it holds, and follows no link out of it', async () => {
    const path = await volumes.ensure(volume('pvc-2'))
    await symlink(join(root, 'outside'), join(path, 'out'))
    await volumes.remove(volume('pvc-2'))
    await volumes.remove(volume('pvc-2'))
    assert.ok(!(await readdir(join(root, 'volumes'))).includes('pvc-2'))
    assert.deepEqual(await readdir(join(root, 'outside')), ['precious'])
  })

  it('knows the volume of a tenant by the tenant’s own name', async () => {
    const { spec, metadata } = volume('pvc-6')
    const annotations = { ...metadata.annotations, 'centaurus.io/tenant': 'acme' }
    const seen = { spec, metadata: { name: 'pvc-6--acme', annotations } }
    assert.equal(await volumes.ensure(seen), join(root, 'volumes', 'pvc-6'))
    await volumes.remove(seen)
    const other = { ...seen, metadata: { ...seen.metadata, name: 'pvc-6--globex' } }
    await assert.rejects(volumes.ensure(other), /not a folder of/)
  })

  it('touches nothing that is not a folder of its own', async () => {
    const outside = volume('pvc-3', join(root, 'outside'))
    await assert.rejects(volumes.ensure(outside), /not a folder of/)
    await assert.rejects(volumes.remove(outside), /not a folder of/)
    await assert.rejects(volumes.remove(volume('..')), /not a folder of/)
    await assert.rejects(volumes.remove({ ...volume('pvc-1'), metadata: { name: 'pvc-1' } }), /not a folder of/)
    await symlink(join(root, 'outside'), join(root, 'volumes', 'pvc-4'))
    await assert.rejects(volumes.ensure(volume('pvc-4')), /not a directory/)
    await assert.rejects(volumes.remove(volume('pvc-4')), /not a directory/)
    assert.deepEqual(await readdir(join(root, 'outside')), ['precious'])
  })

  it('keeps a folder in which something is mounted', async () => {
    const path = await volumes.ensure(volume('pvc-5'))
    mounted = [join(path, 'deep')]
    await assert.rejects(volumes.remove(volume('pvc-5')), /still mounted/)
    mounted = []
    await volumes.remove(volume('pvc-5'))
  })
})
