import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { diffCase, parseDiffering, parseTranscript } from './transcript.ts'

describe('parseTranscript', () => {
  it('gives each case its lines in the order of their numbers', () => {
    const { results, unfinished } = parseTranscript(
      '== a::b\n001 child\n000 first\n-- exited 0\n== a::c\n-- took too long\n',
    )
    assert.deepEqual(results.get('a::b'), { lines: ['000 first', '001 child'], ending: 'exited 0' })
    assert.deepEqual(results.get('a::c'), { lines: [], ending: 'took too long' })
    assert.equal(unfinished, undefined)
  })

  it('names the case in which the output stopped', () => {
    const { results, unfinished } = parseTranscript('== a::b\n-- exited 0\n== a::c\n000 x\n')
    assert.deepEqual([...results.keys()], ['a::b'])
    assert.deepEqual(unfinished, { name: 'a::c', lines: ['000 x'] })
  })
})

describe('diffCase', () => {
  const native = { lines: ['000 same', '001 open = 3'], ending: 'exited 0' }

  it('is empty for the same output', () => {
    assert.deepEqual(diffCase(native, { ...native }), [])
  })

  it('shows both sides of a line, and of the ending', () => {
    const quark = { lines: ['000 same', '001 open = -1 ENOENT'], ending: 'killed by SIGSEGV' }
    assert.deepEqual(diffCase(native, quark), [
      '- 001 open = 3',
      '+ 001 open = -1 ENOENT',
      '- --- exited 0',
      '+ --- killed by SIGSEGV',
    ])
  })

  it('counts lines that come several times', () => {
    assert.deepEqual(diffCase({ lines: ['x', 'x'], ending: '' }, { lines: ['x'], ending: '' }), ['- x'])
  })

  it('says that a case did not run', () => {
    assert.deepEqual(diffCase(native, undefined), ['+ did not run'])
  })
})

describe('parseDiffering', () => {
  it('gives the reason of each case', () => {
    assert.deepEqual([...parseDiffering('# why\n\na::b   no such call yet\n')], [['a::b', 'no such call yet']])
  })

  it('refuses a case without a reason, and one that stands there twice', () => {
    assert.throws(() => parseDiffering('a::b\n'), /must give a reason for "a::b"/)
    assert.throws(() => parseDiffering('a::b x\na::b y\n'), /must name "a::b" once/)
  })
})
