import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'

import { measureFolder } from './disk-usage.ts'
import { rotateLog } from './log-rotation.ts'

describe('rotation of a log', () => {
  it('compresses what was moved before, and keeps no more than so many files', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'centaurus-log-'))
    try {
      const log = join(dir, '0.log')
      await writeFile(log, 'now')
      assert.equal(await rotateLog(log, { bytesMax: 4, filesMax: 3 }), false)
      for (const day of ['01', '02']) await writeFile(`${log}.202601${day}-000000`, `day ${day}`)
      await writeFile(`${log}.20260102-000000.tmp`, 'half')
      assert.equal(await rotateLog(log, { bytesMax: 3, filesMax: 3 }), true)
      const names = (await readdir(dir)).toSorted()
      assert.equal(names[0], '0.log.20260102-000000.gz')
      assert.match(names[1] ?? '', /^0\.log\.\d{8}-\d{6}$/)
      assert.equal(names.length, 2)
      assert.equal(gunzipSync(await readFile(join(dir, names[0]!))).toString(), 'day 02')
      assert.ok((await measureFolder(dir)) >= 2 * 4096)
      assert.equal(await measureFolder(join(dir, 'none')), 0)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
