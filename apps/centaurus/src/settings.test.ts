import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createHome, homeAt, type Home } from './home.ts'
import { DEFAULT_SETTINGS, hasOwnNetwork, readSettings, writeSettings } from './settings.ts'

describe('settings of a cluster', () => {
  let home: Home

  beforeEach(() => {
    home = homeAt(mkdtempSync(join(tmpdir(), 'centaurus-settings-')))
    createHome(home)
  })
  afterEach(() => rmSync(home.dir, { recursive: true }))

  it('are read as they were written', () => {
    for (const network of ['centaurus', 'bridge'] as const) {
      writeSettings(home, { ...DEFAULT_SETTINGS, network })
      assert.deepEqual(readSettings(home), { ...DEFAULT_SETTINGS, network })
    }
    writeSettings(home, { ...DEFAULT_SETTINGS, kubeletDir: '/var/lib/kubelet' })
    assert.equal(readSettings(home)?.kubeletDir, '/var/lib/kubelet')
  })

  it('keep the file of simulated GPUs', () => {
    writeSettings(home, { ...DEFAULT_SETTINGS, simulatedGpus: '/gpus.yaml' })
    assert.equal(readSettings(home)?.simulatedGpus, '/gpus.yaml')
  })

  it('name our own network by default, and the bridge where they are older than that', () => {
    assert.equal(hasOwnNetwork(DEFAULT_SETTINGS), true)
    assert.equal(hasOwnNetwork({ ...DEFAULT_SETTINGS, nodes: { type: 'simulated', count: 5 } }), false)
    writeFileSync(home.settings, JSON.stringify({ port: 6443, nodes: 'local' }))
    assert.equal(readSettings(home)?.network, 'bridge')
    // without containers there was no network that could be kept
    writeFileSync(home.settings, JSON.stringify({ port: 6443, nodes: 'simulated:5' }))
    assert.equal(readSettings(home)?.network, 'centaurus')
    writeFileSync(home.settings, JSON.stringify({ port: 6443, nodes: 'local', network: 'flannel' }))
    assert.throws(() => readSettings(home), /"flannel": it must be centaurus or bridge/)
  })
})
