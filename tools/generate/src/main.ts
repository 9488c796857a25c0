import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { generateAll } from './generate.ts'

const OUT = join(import.meta.dirname, '../../../packages/api/src/generated')

const files = generateAll()
rmSync(OUT, { recursive: true, force: true })
for (const [file, text] of files) {
  const path = join(OUT, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
