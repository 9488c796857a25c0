/**
 * Reads everything in a store file, in a process of its own, because LMDB may crash on a damaged one.
 * Run: `node verify-database.ts FILE`. Ends with 0 when the file is sound; else prints what is wrong and ends with 1.
 */
import { openDatabase } from './database.ts'
import { loadStore } from './load.ts'
import { readValueRecord, RECORD_KINDS, recordKey } from './record.ts'

const file = process.argv[2] ?? ''
try {
  const database = openDatabase(file)
  loadStore(database, file)
  for (const { key, value } of database.getRange({
    start: recordKey({ kind: RECORD_KINDS.value, revision: 0, slot: 0 }),
  })) {
    if (readValueRecord(value) === undefined) throw new Error(`value record ${key.toString('hex')} is damaged`)
  }
  await database.close()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
