import assert from 'node:assert/strict'
import { lstat, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { writeAtomically } from './atomic-writer.ts'
import { resolveSubPath } from './sub-path.ts'
import { symlink, mkdir } from 'node:fs/promises'

const file = (text: string, mode = 0o644) => ({ data: Buffer.from(text), mode })

describe('volume files', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-volumes-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('shows a whole set, then another', async () => {
    const volume = join(dir, 'settings')
    assert.equal(
      await writeAtomically(
        volume,
        new Map([
          ['a', file('1')],
          ['b/c', file('2', 0o600)],
        ]),
      ),
      true,
    )
    assert.equal(await readFile(join(volume, 'a'), 'utf8'), '1')
    assert.equal((await lstat(join(volume, '..data', 'b', 'c'))).mode & 0o777, 0o600)
    const first = await readlink(join(volume, '..data'))
    assert.equal(
      await writeAtomically(
        volume,
        new Map([
          ['a', file('1')],
          ['b/c', file('2', 0o600)],
        ]),
      ),
      false,
    )
    assert.equal(await readlink(join(volume, '..data')), first)
    assert.equal(await writeAtomically(volume, new Map([['d', file('3')]])), true)
    assert.deepEqual(
      (await readdir(volume)).filter((name) => !name.startsWith('..')),
      ['d'],
    )
    assert.equal((await readdir(volume)).filter((name) => name.startsWith('..2')).length, 1)
  })

  it('refuses paths that lead out', async () => {
    await assert.rejects(writeAtomically(join(dir, 'bad'), new Map([['../x', file('1')]])), /invalid path/)
  })

  it('keeps a sub-path inside its volume', async () => {
    const volume = join(dir, 'shared')
    await mkdir(volume)
    assert.equal(await resolveSubPath(volume, 'a/b'), join(volume, 'a', 'b'))
    await symlink('/etc', join(volume, 'out'))
    await assert.rejects(resolveSubPath(volume, 'out/x'), /leads out of the volume/)
    await assert.rejects(resolveSubPath(volume, '../x'), /relative path/)
  })
})
