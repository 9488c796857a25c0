import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isInNamespaces, runInNamespaces } from '@centaurus/node/testing'
import { ensureBpffs } from '../kernel/bpffs.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { mapSharedMemory } from '../kernel/shared-memory.ts'
import { counter, endpoint, endpointKey, hostState, routeKey, route, cidrKey, cidr } from '../layouts/layouts.ts'
import { openPrograms, PROGRAM_NAMES, type OpenPrograms } from './open-programs.ts'

const POD = {
  ip: '10.244.3.7',
  hostIP: '10.244.3.7',
  vni: 5,
  ifindex: 12,
  identity: 300,
  policySet: 1,
  routeDomain: 0,
  mac: '0a:ce:0a:f4:03:07',
  blockPrefix: 24,
  flags: 0,
  shaper: 8,
}
const KEY = endpointKey.encode({ vni: 5, ip: '10.244.3.7' })

if (!isInNamespaces()) {
  describe('Programs', () => {
    it('pass in namespaces of their own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('Programs', () => {
    let folder = ''
    let objects = ''
    let open: OpenPrograms

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'centaurus-bpf-'))
      objects = await buildPrograms({ outDir: folder })
      ensureBpffs(join(folder, 'fs'))
      open = openPrograms({ folder: objects, pinDir: join(folder, 'fs/v1') })
    })

    after(() => {
      open.close()
      execFileSync('umount', [join(folder, 'fs')])
      rmSync(folder, { recursive: true, force: true })
    })

    it('pass the verifier, as they are and as tests build them', async () => {
      for (const name of PROGRAM_NAMES) assert.ok(open.programFd(name) > 0, name)
      openPrograms({ folder: await buildPrograms({ outDir: folder, trace: true }) }).close()
    })

    it('are compiled once for the same sources', async () => {
      assert.equal(await buildPrograms({ outDir: folder }), objects)
    })

    it('have tables that TypeScript writes and reads', () => {
      const endpoints = open.map('endpoints')
      assert.equal(endpoints.get(KEY), undefined)
      endpoints.set(KEY, endpoint.encode(POD))
      assert.deepEqual(endpoint.decode(endpoints.get(KEY)!), POD)
      assert.equal(endpoints.delete(KEY), true)
      assert.equal(endpoints.delete(KEY), false)
    })

    it('take many entries with one call', () => {
      const routes = open.map('routes')
      const entries = Array.from({ length: 5000 }, (_, i) => {
        const block = `10.${i >> 8}.${i & 255}.0`
        return [routeKey.encode({ domain: 0, block }), route.encode({ node: '192.0.2.1', ifindex: 0 })] as const
      })
      routes.setMany(entries)
      assert.equal(routes.keys().length, 5000)
      assert.equal(route.decode(routes.get(entries[4321]![0])!).node, '192.0.2.1')
      const keys = entries.map(([key]) => key)
      for (const gone of [keys[0]!, keys[4095]!, keys[4096]!, keys[4999]!]) routes.delete(gone)
      routes.deleteMany(keys)
      assert.equal(routes.keys().length, 0, 'those that were gone before end nothing')
    })

    it('find the longest prefix of a set and direction', () => {
      const cidrs = open.map('cidrs')
      const at = (prefix: number, ip: string, set = 1): Buffer =>
        cidrKey.encode({ prefixLength: 64 + 96 + prefix, set, direction: 0, ip })
      cidrs.setMany([
        [at(8, '10.0.0.0'), cidr.encode({ list: 8 })],
        [at(24, '10.1.2.0'), cidr.encode({ list: 24 })],
      ])
      const find = (ip: string, set = 1): number | undefined => {
        const found = cidrs.get(at(32, ip, set))
        return found === undefined ? undefined : cidr.decode(found).list
      }
      assert.equal(find('10.1.2.3'), 24)
      assert.equal(find('10.9.9.9'), 8)
      assert.equal(find('11.0.0.1'), undefined)
      assert.equal(find('10.1.2.3', 2), undefined)
      cidrs.deleteMany([at(16, '10.1.0.0'), at(24, '10.1.2.0'), at(9, '10.0.0.0')])
      assert.equal(find('10.1.2.3'), 8)
    })

    it('read counters of every CPU', () => {
      const drops = open.map('drops')
      const value = drops.get(Buffer.alloc(4))!
      assert.equal(value.length % counter.size, 0)
    })

    it('share memory for what needs no look-up', () => {
      const memory = mapSharedMemory(open.map('.data.state').fd, hostState.size)
      const bytes = new Uint8Array(memory.bytes)
      bytes[100] = 7
      assert.equal(open.map('.data.state').get(Buffer.alloc(4))![100], 7)
      bytes[100] = 0
      memory.close()
    })

    it('come back to pinned tables', () => {
      open.map('endpoints').set(KEY, endpoint.encode(POD))
      open.close()
      open = openPrograms({ folder: objects, pinDir: join(folder, 'fs/v1') })
      assert.equal(open.areAdopted, true)
      assert.deepEqual(endpoint.decode(open.map('endpoints').get(KEY)!), POD)
    })

    it('say which table a write is too much for', () => {
      const small = openPrograms({ folder: objects, maxEntries: new Map([['nodes', 1]]) })
      const nodes = small.map('nodes')
      nodes.set(Buffer.alloc(16, 1), Buffer.alloc(4))
      assert.throws(() => nodes.set(Buffer.alloc(16, 2), Buffer.alloc(4)), /map nodes of 1 entries: the table is full/)
      assert.throws(() => nodes.set(Buffer.alloc(3), Buffer.alloc(4)), /have 16 bytes, not 3/)
      small.close()
    })
  })
}
