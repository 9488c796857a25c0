import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { FIELDS } from './fields.ts'
import { runField } from './run-field.ts'

describe('config.json in quark', { concurrency: 2 }, () => {
  let quark: string

  before(async () => {
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    quark = await buildQuark({ outDir: quarkFolder(), cargo: await findCargo(), report })
  })

  for (const field of FIELDS) {
    const { differs } = field
    it(`${field.name}: ${differs === undefined ? 'as in runc' : differs.because}`, async () => {
      const printed = await runField(quark, field)
      const native = await runField('runc', field)
      if (differs === undefined) return assert.equal(printed, native)
      assert.match(printed, differs.prints)
      assert.notEqual(printed, native, 'it is the same now')
    })
  }
})
