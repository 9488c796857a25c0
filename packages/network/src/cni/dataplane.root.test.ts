import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { silentLogger, systemClock } from '@centaurus/base'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { createDataplane } from '../dataplane/create-dataplane.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { ensureHostNetwork, removeHostNetwork } from '../host/host-network.ts'
import { systemPodHost } from '../host/pod-host.ts'
import { ASK, ECHO } from '../host/testing/echo.ts'
import { createNodeBlocks } from '../ipam/address-blocks.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { AttachmentStore } from './attachment-store.ts'
import type { Attachment } from './attachment.ts'
import { parseCniCall, type CniCall } from './cni-request.ts'
import { deletionsDir, DeletionSpool } from './deletion-spool.ts'
import { PodAttachments } from './pod-attachments.ts'
import { createDataplaneSource } from './testing/dataplane-source.ts'

const run = (...command: [string, ...string[]]): string =>
  execFileSync(command[0], command.slice(1), { encoding: 'utf8', stdio: 'pipe' })
const ip = (line: string): string => run('ip', ...line.split(' '))

for (const attach of ['tcx', 'xdp'] as const) {
  describe(`pods on the data plane, uplink by ${attach}`, () => {
    if (!isInNamespaces()) {
      if (attach === 'tcx') it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
      return
    }
    let dir: string
    let dataplane: Dataplane
    let attachments: PodAttachments
    const servers: ChildProcess[] = []
    const pods = new Map<string, Attachment>()
    const { signal } = new AbortController()
    const serve = async (name: string): Promise<void> => {
      const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', ECHO, name], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      servers.push(child)
      await once(child.stdout!, 'data')
    }
    const ask = (from: string, kind: 'tcp' | 'udp', address: string, port: number): string => {
      const command = [process.execPath, '-e', ASK, kind, address, String(port)] as const
      return (from === 'host' ? run(...command) : run('ip', 'netns', 'exec', from, ...command)).trim()
    }
    const callOf = <C extends 'ADD' | 'DEL' | 'CHECK'>(command: C, name: string, portMappings: object[] = []) =>
      parseCniCall(
        command,
        {
          containerId: name,
          netns: `/run/netns/${name}`,
          ifname: 'eth0',
          args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
        },
        JSON.stringify({ cniVersion: '1.0.0', name: 'centaurus', runtimeConfig: { portMappings } }),
      ) as Extract<CniCall, { command: C }>
    const add = async (name: string, portMappings: object[] = []): Promise<void> => {
      ip(`netns add ${name}`)
      pods.set(name, await attachments.add(callOf('ADD', name, portMappings), signal))
      await serve(name)
    }
    const addressOf = (name: string): string => pods.get(name)!.ip

    before(async () => {
      isolateHost()
      dir = await mkdtemp('/tmp/centaurus-cni-')
      for (const line of [
        'netns add world',
        'link add eth0 type veth peer name eth0 netns world',
        'addr add 192.0.2.1/24 dev eth0',
        'link set eth0 up',
        '-n world addr add 192.0.2.9/24 dev eth0',
        '-n world link set eth0 up',
        'route add default via 192.0.2.9',
      ])
        ip(line)
      for (const args of [
        ['-K', 'eth0', 'gro', 'on'],
        ['-K', 'eth0', 'tx', 'off'],
      ])
        run('ip', 'netns', 'exec', 'world', 'ethtool', ...args) // whoever finishes checksums on a real wire
      const host = await ensureHostNetwork({
        podCIDR: '10.244.3.0/24',
        podNetworks: ['10.244.0.0/16'],
        serviceCIDRs: ['10.96.0.0/16'],
        stateDir: dir,
      })
      dataplane = createDataplane({
        programs: await buildPrograms({ outDir: join(tmpdir(), 'centaurus-test-programs') }),
        bpffs: `/run/bpf-${attach}`,
        nodeIP: host.uplink!.address,
        hostDevice: { ifindex: host.ifindex, address: host.address },
        uplinks: [{ ifindex: host.uplink!.ifindex }],
        podMtu: host.podMtu,
        attach,
      })
      const node = createNodeBlocks(() => '10.244.3.0/24')
      attachments = new PodAttachments({
        source: createDataplaneSource(dataplane),
        blocks: {
          ...node,
          blocksOf: (network) =>
            network.routeDomain === 0 ? node.blocksOf(network) : [{ cidr: '10.244.3.0/26', reserved: [] }],
        },
        store: new AttachmentStore(join(dir, 'pods')),
        deletions: new DeletionSpool(deletionsDir(dir)),
        host: systemPodHost,
        podMtu: () => host.podMtu,
        listSandboxes: async () => undefined,
        clock: systemClock,
        logger: silentLogger,
      })
      await attachments.start()
      await serve('world')
      await add('web', [
        { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
        { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '192.0.2.1' },
      ])
      await add('client')
      await add('own-web', [{ hostPort: 9090, containerPort: 80, protocol: 'tcp' }])
    })
    after(async () => {
      for (const server of servers) server.kill('SIGKILL')
      await attachments.close()
      dataplane.remove()
      await removeHostNetwork({ stateDir: dir })
      for (const name of ['world', ...pods.keys()]) ip(`netns del ${name}`)
      await rm(dir, { recursive: true })
    })

    it('reach each other, and are reached by their host and reach it', async () => {
      assert.equal(ask('client', 'tcp', addressOf('web'), 80), `web saw ${addressOf('client')}`)
      assert.equal(ask('host', 'tcp', addressOf('web'), 80), 'web saw 10.244.3.1')
      assert.equal(ask('client', 'tcp', '10.244.3.1', 9), 'ECONNREFUSED')
      assert.equal(addressOf('own-web'), '10.244.3.1', 'its own address is one of the host’s')
      assert.equal(ask('host', 'tcp', pods.get('own-web')!.hostIP, 80), 'own-web saw 100.64.0.1')
      await attachments.check(callOf('CHECK', 'web'))
    })

    it('reach the world with the host’s address, also those that have addresses of their own', () => {
      assert.equal(ask('client', 'tcp', '192.0.2.9', 80), 'world saw 192.0.2.1')
      assert.equal(ask('client', 'udp', '192.0.2.9', 53), 'world saw 192.0.2.1')
      assert.equal(pods.get('own-web')!.hostIP, '100.64.0.2')
      assert.equal(ask('own-web', 'tcp', '192.0.2.9', 80), 'world saw 192.0.2.1')
    })

    it('are reached through ports of the host from outside, which they see', () => {
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'web saw 192.0.2.9')
      assert.equal(ask('world', 'udp', '192.0.2.1', 5353), 'web saw 192.0.2.9')
      assert.equal(ask('world', 'tcp', '192.0.2.1', 9090), 'own-web saw 192.0.2.9')
    })

    it('are reached through ports of the host from the host itself, by whatever address', () => {
      assert.match(ask('host', 'tcp', '192.0.2.1', 8080), /^web saw /)
      assert.match(ask('host', 'tcp', '127.0.0.1', 8080), /^web saw /)
      assert.equal(ask('host', 'tcp', '127.0.0.1', 9090), 'own-web saw 100.64.0.1')
    })

    it('are reached through ports of the host by pods, themselves among them', () => {
      assert.equal(ask('client', 'tcp', '192.0.2.1', 8080), 'web saw 10.244.3.1')
      assert.equal(ask('client', 'tcp', '10.244.3.1', 8080), 'web saw 10.244.3.1')
      assert.equal(ask('web', 'tcp', '192.0.2.1', 8080), 'web saw 10.244.3.1')
      assert.equal(ask('client', 'udp', '192.0.2.1', 5353), 'web saw 10.244.3.1')
    })

    it('are gone from everywhere with their end', async () => {
      await attachments.delete(callOf('DEL', 'web'))
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'ECONNREFUSED')
      assert.deepEqual(
        dataplane
          .listEndpoints()
          .map((endpoint) => endpoint.ip)
          .toSorted(),
        [addressOf('client'), addressOf('own-web')].toSorted(),
      )
    })
  })
}
