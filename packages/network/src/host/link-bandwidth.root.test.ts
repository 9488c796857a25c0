import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { readLinkBandwidth } from './link-bandwidth.ts'
import { listLinks } from './links.ts'

if (!isInNamespaces()) {
  describe('what a link carries', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('what a link carries', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sys-'))
    /** Hardware has files like these. */
    const say = async (speed: string, device: string, ofDevice = device): Promise<void> => {
      const link = (await listLinks()).find(({ ifname }) => ifname === ofDevice)!
      const facts = { ifindex: String(link.ifindex), address: link.address!, speed }
      for (const [name, text] of Object.entries(facts)) writeFileSync(join(folder, device, name), `${text}\n`)
    }

    before(() => {
      execFileSync('ip', ['link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1'])
      // the loopback has no kind, as hardware has none
      for (const device of ['lo', 'veth0']) mkdirSync(join(folder, device))
    })
    after(() => rmSync(folder, { recursive: true }))

    it('is what the device says', async () => {
      await say('25000', 'lo')
      assert.equal(await readLinkBandwidth('lo', folder), 25e9)
    })

    it('is not known when the device does not', async () => {
      for (const words of ['-1', '4294967295', '0', '']) {
        await say(words, 'lo')
        assert.equal(await readLinkBandwidth('lo', folder), undefined)
      }
      assert.equal(await readLinkBandwidth('eth9', folder), undefined)
    })

    it('is not what a device of another namespace says, nor what a virtual one makes up', async () => {
      await say('25000', 'lo', 'veth0')
      assert.equal(await readLinkBandwidth('lo', folder), undefined)
      await say('10000', 'veth0')
      assert.equal(await readLinkBandwidth('veth0', folder), undefined)
    })
  })
}
