import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { systemClock } from '@centaurus/base'

import { parseLogOptions } from './log-options.ts'
import { readLog } from './log-reader.ts'

const line = (second: number, text: string, tag = 'F'): string =>
  `2026-01-01T00:00:0${second}.000000000Z stdout ${tag} ${text}\n`

describe('readLog', () => {
  let dir: string
  let path: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-logs-'))
    path = join(dir, '0.log')
    await writeFile(path, line(1, 'one') + line(2, 'tw', 'P') + line(2, 'o') + line(3, 'three'))
  })
  after(() => rm(dir, { recursive: true }))

  const read = async (query: string): Promise<string> => {
    const options = parseLogOptions(new URLSearchParams(query), Date.UTC(2026, 0, 1, 0, 0, 4))
    const parts: string[] = []
    for await (const text of readLog(
      { path, isRunning: () => false, clock: systemClock, signal: new AbortController().signal },
      options,
    ))
      parts.push(text)
    return parts.join('')
  }

  it('joins what the runtime cut', async () => {
    assert.equal(await read(''), 'one\ntwo\nthree\n')
  })

  it('reads the end, since a time, up to a size, with times', async () => {
    assert.equal(await read('tailLines=1'), 'three\n')
    assert.equal(await read('tailLines=0'), '')
    assert.equal(await read('sinceSeconds=2'), 'two\nthree\n')
    assert.equal(await read('limitBytes=6'), 'one\ntw')
    assert.match(
      await read('timestamps=true'),
      /^2026-01-01T00:00:01\.000000000Z one\n2026-01-01T00:00:02\.000000000Z two\n/,
    )
  })

  it('refuses what is no number', () => {
    assert.throws(() => parseLogOptions(new URLSearchParams('tailLines=x'), 0), SyntaxError)
  })

  it('follows across a rotation until the container ends', async () => {
    let running = true
    const options = parseLogOptions(new URLSearchParams('follow=true&tailLines=1'), 0)
    const seen: string[] = []
    for await (const text of readLog(
      { path, isRunning: () => running, clock: systemClock, signal: new AbortController().signal },
      options,
    )) {
      seen.push(text)
      if (text === 'three\n') await appendFile(path, line(4, 'four'))
      if (text === 'four\n') {
        await rename(path, `${path}.1`)
        await writeFile(path, line(5, 'five'))
      }
      if (text === 'five\n') running = false
    }
    assert.deepEqual(seen, ['three\n', 'four\n', 'five\n'])
  })
})
