import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderLayouts } from './render.ts'

writeFileSync(join(import.meta.dirname, '../../../../bpf/generated/layouts.h'), renderLayouts())
