import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { findDaemon, isSupervised, registerDaemon, stopDaemon } from './daemons.ts'
import { createHome, findHome, type Home } from './home.ts'

describe('records of background processes', () => {
  let home: Home
  before(() => {
    home = findHome({ CENTAURUS_HOME: mkdtempSync(join(tmpdir(), 'centaurus-daemons-')) })
    createHome(home)
  })
  after(() => rmSync(home.dir, { recursive: true, force: true }))

  it('find a process that runs, and nothing where none was started', () => {
    assert.equal(findDaemon(home, 'node'), undefined)
    registerDaemon(home, 'node')
    assert.equal(findDaemon(home, 'node')?.pid, process.pid)
    assert.equal(isSupervised(home, 'node'), false)
  })

  it('take a later process with the same pid for another one', async () => {
    writeFileSync(join(home.runDir, 'control-plane.json'), JSON.stringify({ pid: process.pid, startTicks: '1' }))
    assert.equal(findDaemon(home, 'control-plane'), undefined)
    assert.equal(await stopDaemon(home, 'control-plane'), false, 'so nobody is stopped')
  })

  it('count as absent when a power loss emptied them', async () => {
    for (const file of ['control-plane.json', 'control-plane.supervisor.json'])
      writeFileSync(join(home.runDir, file), '')
    assert.equal(findDaemon(home, 'control-plane'), undefined)
    assert.equal(isSupervised(home, 'control-plane'), false)
    assert.equal(await stopDaemon(home, 'control-plane'), false)
  })
})
