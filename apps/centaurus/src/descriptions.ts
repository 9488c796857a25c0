import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Descriptions } from '@centaurus/api'

const FILE = join(import.meta.dirname, '../../../build/openapi-descriptions.json')

/** Texts for `kubectl explain`, which the set-up extracts from a pinned package; undefined where that was not done. */
export function readDescriptions(): Descriptions | undefined {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as Descriptions
  } catch {
    return undefined // fields are explained by name and type alone
  }
}
