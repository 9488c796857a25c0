import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { AttachmentStore, parseRecord, type ReleasedAddresses } from './attachment-store.ts'
import { deviceNameOf, macOf, type Attachment } from './attachment.ts'

const device = deviceNameOf('c1', 'eth0')
const attachment: Attachment = {
  phase: 'ready',
  containerId: 'c1',
  namespace: 'acme--default',
  name: 'web-0',
  uid: 'b1f0',
  vpc: 'default',
  vni: 7,
  routeDomain: 0,
  blockPrefix: 24,
  ip: '10.244.3.2',
  hostIP: '10.244.3.2',
  mac: macOf('10.244.3.2'),
  device,
  ifindex: 12,
  netns: '/run/netns/cni-1',
  ifname: 'eth0',
  mtu: 1442,
  hostPorts: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined }],
  createdAtMs: 1_780_000_000_000,
}
const released: ReleasedAddresses = {
  phase: 'released',
  device: deviceNameOf('c2', 'eth0'),
  vni: 9,
  routeDomain: 9,
  ip: '10.0.0.4',
  hostIP: '100.64.0.9',
  releasedAtMs: 1_780_000_000_000,
}

describe('names of a pod’s devices', () => {
  it('are different for each attachment and at most 15 characters', () => {
    assert.match(device, /^cen[0-9a-f]{12}$/)
    assert.notEqual(device, deviceNameOf('c1', 'net1'))
    assert.notEqual(device, deviceNameOf('c2', 'eth0'))
  })

  it('have MAC addresses that say the pod’s address', () => {
    assert.equal(macOf('10.244.3.2'), '0a:ce:0a:f4:03:02')
    assert.equal(macOf('0.0.0.7'), '0a:ce:00:00:00:07')
  })
})

describe('AttachmentStore', () => {
  let dir: string
  let store: AttachmentStore
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-attachments-'))
    store = new AttachmentStore(dir)
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('has after a restart what was put, and not what was removed', async () => {
    await store.put({ ...attachment, phase: 'adding' })
    await store.put(attachment)
    await store.put(released)
    await store.put({ ...released, device: deviceNameOf('c3', 'eth0') })
    await store.remove(deviceNameOf('c3', 'eth0'))
    await store.remove(deviceNameOf('never', 'eth0'))
    const { records, damaged } = await new AttachmentStore(dir).load()
    assert.deepEqual(damaged, [])
    const plain = JSON.parse(JSON.stringify([attachment, released])) as typeof records
    assert.deepEqual(
      new Set(records.map((one) => JSON.stringify(one))),
      new Set(plain.map((one) => JSON.stringify(one))),
    )
  })

  it('names what is damaged, reads the rest, and clears away what was never written whole', async () => {
    await store.put(attachment)
    const broken = deviceNameOf('c9', 'eth0')
    await writeFile(join(dir, `${broken}.json`), '{"version":1,"phase":"rea')
    await writeFile(join(dir, `${deviceNameOf('c8', 'eth0')}.json.tmp`), '{')
    await writeFile(join(dir, 'README'), 'of somebody else')
    const { records, damaged } = await store.load()
    assert.deepEqual(
      records.map((one) => one.device),
      [device],
    )
    assert.deepEqual(damaged, [{ device: broken, file: join(dir, `${broken}.json`), problem: 'it is no JSON' }])
    assert.deepEqual((await readdir(dir)).toSorted(), ['README', `${broken}.json`, `${device}.json`].toSorted())
  })

  it('says of each field why it can’t be believed', () => {
    const problem = (change: Record<string, unknown>): unknown =>
      parseRecord(JSON.stringify({ version: 1, ...attachment, ...change }), device)
    assert.equal(problem({ version: 2 }), 'it has version 2; this program knows 1')
    assert.equal(problem({ device: 'eth0' }), 'it is of device "eth0"')
    assert.equal(problem({ phase: 'gone' }), 'its "phase" is "gone"')
    assert.equal(problem({ ip: '10.244.3' }), 'its "ip" is "10.244.3"')
    assert.equal(problem({ vni: -1 }), 'its "vni" is -1')
    assert.equal(problem({ mtu: undefined }), 'its "mtu" is missing')
    assert.match(
      String(problem({ hostPorts: [{ protocol: 'icmp', hostPort: 1, containerPort: 1 }] })),
      /^its "hostPorts" is/,
    )
    assert.equal(problem({ phase: 'released' }), 'its "releasedAtMs" is missing')
    assert.equal(parseRecord('', device), 'it is empty')
    assert.equal(parseRecord('7', device), 'it holds no object')
  })
})
