import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { BpfMap } from '../kernel/bpf-map.ts'
import { openPinned } from '../kernel/bpf-syscall.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { layoutVersion } from '../layouts/render.ts'
import { podOf, policySetOf } from '../testing/test-world.ts'
import type { Endpoint } from './dataplane.ts'
import { createDataplane, type DataplaneOptions } from './create-dataplane.ts'
import { countPossibleCpus } from './open-programs.ts'

interface Link {
  readonly ifname: string
  readonly ifindex: number
  readonly xdp?: { readonly mode: number }
}

if (!isInNamespaces()) {
  describe('A data plane', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('A data plane', () => {
    let options: DataplaneOptions
    let devices: Record<string, number>
    const links = (): Link[] => JSON.parse(execFileSync('ip', ['-json', 'link', 'show']).toString()) as Link[]
    const pins = (): string[] => readdirSync(join(options.bpffs, 'centaurus', `v${layoutVersion()}`, 'links')).sort()
    const hasXdp = (device: string): boolean => links().find(({ ifname }) => ifname === device)?.xdp !== undefined

    before(async () => {
      isolateHost()
      for (const name of ['host', 'up', 'pod', 'other'])
        execFileSync('ip', ['link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', `${name}-peer`])
      execFileSync('ip', ['link', 'add', 'name', 'br', 'type', 'bridge'])
      devices = Object.fromEntries(links().map(({ ifname, ifindex }) => [ifname, ifindex]))
      options = {
        programs: await buildPrograms({ outDir: '/run/programs' }),
        bpffs: '/run/bpf',
        nodeIP: '192.168.77.1',
        hostDevice: { ifindex: devices['host']!, address: '10.244.1.1' },
        uplinks: [{ ifindex: devices['up']! }],
        podMtu: 1442,
        attach: 'auto',
        flowsMax: 1000,
      }
    })

    it('attaches to the host, its uplinks and pods, and once', () => {
      const dataplane = createDataplane(options)
      dataplane.attachPod(devices['pod']!)
      dataplane.attachPod(devices['pod']!)
      const { host, up, pod } = devices
      assert.deepEqual(pins(), [
        `from_host@tcx-egress@${host}`,
        'from_loopback@tcx-egress@1',
        `from_pod@tcx-ingress@${pod}`,
        `from_uplink@tcx-ingress@${up}`,
        `to_uplink@tcx-egress@${up}`,
      ])
      assert.equal(hasXdp('up'), false, 'a virtual device keeps its large packets')
      dataplane.close()
    })

    it('stays when its daemon ends, and the next one finds all of it', () => {
      const first = createDataplane(options)
      const policySet = first.addPolicySet(policySetOf('open'))
      first.setEndpoint(podOf(2, { policySet, ifindex: devices['pod']! }))
      first.setRoute({ domain: 0, cidr: '10.244.2.0/24', node: '192.168.77.2' })
      const before = pins()
      first.close()
      const second = createDataplane(options)
      assert.deepEqual(pins(), before)
      assert.deepEqual(second.listEndpoints(), [podOf(2, { policySet, ifindex: devices['pod']! })])
      assert.equal(second.listRoutes().length, 1)
      assert.equal(second.addPolicySet(policySetOf('open')), policySet)
      second.close()
    })

    it('has as many flows as it is told', () => {
      createDataplane(options).close()
      const fd = openPinned(join(options.bpffs, 'centaurus', `v${layoutVersion()}`, 'maps', 'ct'))!
      assert.equal(new BpfMap('ct', fd, countPossibleCpus()).maxEntries, 1000)
    })

    it('puts XDP before an uplink when asked, and takes it off again', () => {
      createDataplane({ ...options, attach: 'xdp' }).close()
      assert.equal(hasXdp('up'), true)
      createDataplane({ ...options, attach: 'tcx' }).close()
      assert.equal(hasXdp('up'), false)
    })

    it('says why a device can have no XDP, and does without when it may choose', () => {
      const onBridge = { ...options, uplinks: [{ ifindex: devices['br']! }] }
      assert.throws(() => createDataplane({ ...onBridge, attach: 'xdp' }), /has no native XDP; use tcx there/)
      createDataplane({ ...onBridge, attach: 'auto' }).close()
      assert.ok(pins().includes(`from_uplink@tcx-ingress@${devices['br']}`))
    })

    it('leaves devices that are no longer uplinks', () => {
      createDataplane({ ...options, uplinks: [{ ifindex: devices['other']! }] }).close()
      assert.deepEqual(
        pins().filter((name) => name.includes('_uplink')),
        [`from_uplink@tcx-ingress@${devices['other']}`, `to_uplink@tcx-egress@${devices['other']}`],
      )
    })

    it('moves to another uplink while it runs', () => {
      const dataplane = createDataplane(options)
      const moved = { ...options, nodeIP: '192.168.77.9', uplinks: [{ ifindex: devices['other']! }] }
      dataplane.setHost(moved)
      const attached = dataplane.listAttachments().filter(({ program }) => program.endsWith('_uplink'))
      assert.deepEqual(attached, [
        { program: 'from_uplink', hook: 'tcx-ingress', ifindex: devices['other'] },
        { program: 'to_uplink', hook: 'tcx-egress', ifindex: devices['other'] },
      ])
      dataplane.setHost(options)
      assert.ok(pins().includes(`from_uplink@tcx-ingress@${devices['up']}`))
      dataplane.close()
    })

    it('forgets a pod whose device is gone', () => {
      const dataplane = createDataplane(options)
      execFileSync('ip', ['link', 'delete', 'pod'])
      dataplane.close()
      createDataplane(options).close()
      assert.deepEqual(
        pins().filter((name) => name.startsWith('from_pod')),
        [],
      )
    })

    it('says which device is not there', () => {
      const dataplane = createDataplane(options)
      assert.throws(
        () => dataplane.attachPod(9999),
        /Cannot attach a program at tcx-ingress of device 9999: there is no such device/,
      )
      dataplane.close()
    })

    it('takes over what a version with other tables left, and shows it when it is told to', () => {
      const root = join(options.bpffs, 'centaurus')
      const before = createDataplane(options)
      before.setEndpoint(podOf(3, { policySet: before.addPolicySet(policySetOf('open')), ifindex: devices['host']! }))
      const endpoints = byAddress(before.listEndpoints())
      before.close()
      const attached = pins()
      renameSync(join(root, `v${layoutVersion()}`), join(root, 'v00000000'))
      const dataplane = createDataplane(options)
      assert.deepEqual(byAddress(dataplane.listEndpoints()), endpoints)
      assert.deepEqual(dataplane.listAttachments(), [])
      dataplane.activate()
      dataplane.activate()
      assert.deepEqual(readdirSync(root), [`v${layoutVersion()}`])
      assert.deepEqual(pins(), attached)
      dataplane.close()
    })

    it('takes away what a version left that says nothing of its tables', () => {
      const root = join(options.bpffs, 'centaurus')
      renameSync(join(root, `v${layoutVersion()}`), join(root, 'v00000000'))
      rmSync(join(root, 'v00000000/maps/ct'))
      const steps: string[] = []
      const dataplane = createDataplane({ ...options, onStep: (step) => steps.push(step) })
      assert.match(steps[0] ?? '', /no network until the new ones are filled/)
      assert.deepEqual(readdirSync(root), [`v${layoutVersion()}`])
      assert.deepEqual(dataplane.listEndpoints(), [])
      assert.ok(pins().length > 0)
      dataplane.close()
    })

    it('leaves nothing when it is removed', () => {
      createDataplane({ ...options, attach: 'xdp' }).remove()
      assert.equal(existsSync(join(options.bpffs, 'centaurus')), false)
      assert.equal(hasXdp('up'), false)
    })

    it('says what is missing when programs are not built', () => {
      mkdirSync('/run/empty')
      assert.throws(
        () => createDataplane({ ...options, programs: '/run/empty' }),
        /Cannot open the programs in .*from_pod.o/,
      )
    })
  })
}

/** A hash table tells its entries in any order. */
function byAddress(endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.toSorted((a, b) => a.ip.localeCompare(b.ip))
}
