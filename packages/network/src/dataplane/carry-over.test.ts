import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { KNOWN_TABLES } from './carry-over.ts'

const SOURCES = join(import.meta.dirname, '../../../../bpf')

describe('what goes to another version', () => {
  it('is decided for every table that programs have', () => {
    const text = globSync('*.h', { cwd: SOURCES })
      .map((file) => readFileSync(join(SOURCES, file), 'utf8'))
      .join('\n')
    const tables = [...text.matchAll(/^TABLE\((\w+)/gm)].map(([, name]) => name!)
    const sections = [...text.matchAll(/SEC\("(\.data\.\w+)"\)/g)].map(([, name]) => name!)
    const own = [...tables, ...sections].filter((name) => name !== '.data.trace')
    assert.deepEqual(own.sort(), KNOWN_TABLES.toSorted())
  })
})
