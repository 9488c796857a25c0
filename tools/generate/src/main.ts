import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readOpenApi } from './openapi.ts'
import { generateTypes } from './types.ts'

const OUT = join(import.meta.dirname, '../../../packages/api/src/generated')

function write(file: string, text: string): void {
  const path = join(OUT, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

const document = readOpenApi()
rmSync(join(OUT, 'types'), { recursive: true, force: true })
for (const [module, source] of generateTypes(document)) write(`types/${module}.ts`, source)
