import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readlinkSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { systemClock } from '@centaurus/base'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { deviceNameOf, macOf } from '../cni/attachment.ts'
import { ensureHostNetwork, findOtherOwner, removeHostNetwork, type HostNetworkOptions } from './host-network.ts'
import { closeHostPorts, openHostPorts } from './host-ports.ts'
import type { OpenHostPort } from './nat-table.ts'
import { systemPodHost } from './pod-host.ts'
import type { PodLink } from './pod-link-requests.ts'
import { createPodLink, deletePodLink, inspectPodLink } from './pod-links.ts'
import { ASK, ECHO } from './testing/echo.ts'
import { setOutsideRoutes } from './outside-routes.ts'
import { findDevices, findUplink, podMtuOf } from './uplink.ts'

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' })
const ip = (line: string): string => run('ip', ...line.split(' '))
const inNamespace = (name: string, ...command: string[]): string => run('ip', 'netns', 'exec', name, ...command)

if (!isInNamespaces()) {
  describe('the network of a host', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  before(() => {
    isolateHost()
    // the world: a namespace behind the uplink that knows nothing of pods
    for (const line of [
      'netns add world',
      'link add eth0 mtu 1500 type veth peer name eth0 netns world',
      'addr add 192.0.2.1/24 dev eth0',
      'link set eth0 up',
      '-n world addr add 192.0.2.9/24 dev eth0',
      '-n world link set eth0 up',
      '-n world link set lo up',
      'route add default via 192.0.2.9',
    ])
      ip(line)
  })

  describe('the network of a host', () => {
    let stateDir: string
    let options: HostNetworkOptions
    beforeEach(async () => {
      stateDir = await mkdtemp('/tmp/centaurus-host-')
      options = {
        podCIDR: '10.244.3.0/24',
        podNetworks: ['10.244.0.0/16'],
        serviceCIDRs: ['10.96.0.0/16'],
        stateDir,
        hostPorts: [],
      }
    })
    afterEach(async () => {
      await removeHostNetwork({ stateDir })
      await rm(stateDir, { recursive: true })
    })

    const seen = (): string[] => [
      ip('-o addr show dev centaurus0').replaceAll(/ (valid_lft|preferred_lft) \S+/g, ''),
      ip('route show dev centaurus0'),
      ip('neigh show dev centaurus0'),
      ip('-o link show type veth'),
      run('nft', 'list', 'table', 'ip', 'centaurus-network'),
    ]

    it('is there after one call, the same after two, and gone after its removal', async () => {
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
      const before = [ip('link'), ip('route'), run('nft', 'list', 'ruleset')]
      const host = await ensureHostNetwork(options)
      assert.deepEqual(host.uplink, { device: 'eth0', ifindex: host.uplink!.ifindex, mtu: 1500, address: '192.0.2.1' })
      assert.equal(host.podMtu, 1442)
      assert.equal(host.address, '10.244.3.1')
      const indexOf = (name: string): number => Number(ip(`-o link show dev ${name}`).split(':')[0])
      assert.equal(host.ifindex, indexOf('centaurus0'))
      assert.equal(host.peerIfindex, indexOf('centaurus1'))
      assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1')
      const first = seen()
      assert.deepEqual(
        first[1]!
          .trim()
          .split('\n')
          .map((line) => line.trim()),
        [
          ...['10.96.0.0/16', '10.244.0.0/16', '10.244.3.0/24'].map(
            (cidr) => `${cidr} via 169.254.1.1 src 10.244.3.1 onlink`,
          ),
          '100.64.0.0/16 via 169.254.1.1 src 100.64.0.1 onlink',
          '169.254.42.1 via 169.254.1.1 src 10.244.3.1 onlink',
          '240.0.0.0/8 via 169.254.1.1 src 100.64.0.1 onlink',
        ],
      )
      assert.deepEqual(await ensureHostNetwork(options), host)
      assert.deepEqual(seen(), first)
      await removeHostNetwork({ stateDir })
      await removeHostNetwork({ stateDir })
      assert.deepEqual([ip('link'), ip('route'), run('nft', 'list', 'ruleset')], before)
      assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '0')
    })

    it('follows another block, other networks, and what somebody has broken', async () => {
      await ensureHostNetwork(options)
      const wanted = seen()
      ip('route del 10.244.0.0/16 dev centaurus0')
      ip('route add 10.99.0.0/16 dev centaurus0')
      ip('addr add 10.0.0.7/32 dev centaurus0')
      ip('link set centaurus0 mtu 1400')
      run('nft', 'flush', 'ruleset')
      await ensureHostNetwork(options)
      assert.deepEqual(seen(), wanted)
      const moved = await ensureHostNetwork({ ...options, podCIDR: '10.244.9.0/24', podNetworks: ['10.200.0.0/16'] })
      assert.equal(moved.address, '10.244.9.1')
      const [addresses, routes] = seen()
      assert.match(addresses!, /10\.244\.9\.1\/32/)
      assert.doesNotMatch(addresses!, /10\.244\.3\.1/)
      assert.match(routes!, /10\.200\.0\.0\/16 .*src 10\.244\.9\.1/)
      assert.doesNotMatch(routes!, /10\.244\.(0\.0\/16|3)/)
    })

    it('lets pods through a firewall that drops what it does not know, and leaves it as it was', async () => {
      run('iptables', '-P', 'FORWARD', 'DROP')
      run('iptables', '-A', 'FORWARD', '-i', 'docker0', '-j', 'ACCEPT')
      const before = run('iptables', '-S', 'FORWARD')
      await ensureHostNetwork(options)
      await ensureHostNetwork(options)
      const ours = run('iptables', '-S', 'FORWARD')
        .split('\n')
        .filter((line) => line.includes('centaurus0'))
      assert.deepEqual(ours.toSorted(), [
        '-A FORWARD -i centaurus0 -m comment --comment centaurus-network -j ACCEPT',
        '-A FORWARD -o centaurus0 -m comment --comment centaurus-network -j ACCEPT',
      ])
      await removeHostNetwork({ stateDir })
      assert.equal(run('iptables', '-S', 'FORWARD'), before)
      run('nft', 'delete', 'table', 'ip', 'filter')
    })

    it('gives back a setting only when it is still as it was left', async () => {
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
      await ensureHostNetwork(options)
      await removeHostNetwork({ stateDir })
      assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1')
      assert.equal(existsSync(`${stateDir}/sysctls.json`), false)
    })

    it('says what is in its way', async () => {
      ip('link add centaurus0 type bridge')
      await assert.rejects(ensureHostNetwork(options), /"centaurus0" exists and is a bridge; stop the pods/)
      ip('link del centaurus0')
      await assert.rejects(ensureHostNetwork({ ...options, podNetworks: ['192.0.2.0/24'] }), (error: Error) => {
        assert.match(error.message, /route add 192\.0\.2\.0\/24 .* failed; the host has another route there/)
        return true
      })
      await assert.rejects(ensureHostNetwork({ ...options, podCIDR: '10.244.3.1/24' }), /"10.244.3.1\/24" is no block/)
    })

    it('finds the uplink by the node’s address, the default route, or any address', async () => {
      ip('link add aside type veth peer name aside-peer')
      ip('addr add 198.51.100.1/24 dev aside')
      ip('link set aside up')
      try {
        assert.equal((await findUplink())?.address, '192.0.2.1')
        const devicesOf = async (nodeAddress?: string): Promise<(string | undefined)[]> => {
          const { uplink, entrances } = await findDevices({ nodeAddress })
          return [uplink?.device, ...entrances.map(({ device }) => device)]
        }
        assert.deepEqual(await devicesOf(), ['eth0', 'aside'])
        assert.deepEqual(await devicesOf('198.51.100.1'), ['aside', 'eth0'])
        assert.equal((await findUplink({ nodeAddress: '198.51.100.1' }))?.device, 'aside')
        assert.equal((await findUplink({ nodeAddress: '203.0.113.1' }))?.device, 'eth0')
        assert.throws(() => podMtuOf({ device: 'eth0', mtu: 600 }), /its MTU is 600; at least 634/)
        ip('addr del 192.0.2.1/24 dev eth0') // and the default route with it
        assert.equal((await findUplink())?.device, 'aside')
        ip('link del aside')
        assert.equal(await findUplink(), undefined)
        const host = await ensureHostNetwork(options)
        assert.deepEqual([host.uplink, host.podMtu, host.address], [undefined, 1442, '10.244.3.1'])
      } finally {
        ip('addr add 192.0.2.1/24 dev eth0')
        ip('route add default via 192.0.2.9')
      }
    })

    it('leads its own processes, and nobody else, to addresses of Services outside, until its removal', async () => {
      const host = await ensureHostNetwork(options)
      const routeOf = (more = ''): string => ip(`route get 198.51.100.200${more}`).split('\n')[0]!
      const before = routeOf()
      for (let i = 0; i < 2; i++) {
        await setOutsideRoutes({ addresses: ['198.51.100.200', '198.51.100.201'], source: host.nodeIP })
        assert.match(routeOf(), /^198\.51\.100\.200 via 169\.254\.1\.2 dev centaurus0 .*src 192\.0\.2\.1 /)
      }
      assert.match(routeOf(' from 192.0.2.9 iif eth0'), /via 192\.0\.2\.9 dev eth0/)
      await setOutsideRoutes({ addresses: ['198.51.100.201'], source: host.nodeIP })
      assert.equal(routeOf(), before)
      assert.match(ip('rule'), /iif lo lookup 52737/)
      await removeHostNetwork(options)
      assert.doesNotMatch(ip('rule'), /iif lo/)
    })

    it('is left to the cluster that has it, until that is gone', async () => {
      const other = await mkdtemp('/tmp/centaurus-host-')
      await ensureHostNetwork({ ...options, stateDir: other })
      const theirs = seen()
      assert.equal(await findOtherOwner(stateDir), other)
      assert.equal(await findOtherOwner(other), undefined)
      await assert.rejects(
        ensureHostNetwork(options),
        new RegExp(`that of another cluster, which keeps it in "${other}"`),
      )
      await removeHostNetwork({ stateDir })
      assert.deepEqual(seen(), theirs)
      await rm(other, { recursive: true })
      assert.equal(await findOtherOwner(stateDir), undefined)
      await ensureHostNetwork(options)
      assert.match(ip('link show dev centaurus0'), new RegExp(`alias ${stateDir}`))
    })
  })

  describe('a pod’s devices', () => {
    const device = deviceNameOf('c1', 'eth0')
    const link: PodLink = {
      device,
      ifname: 'eth0',
      ip: '10.244.3.2',
      mac: macOf('10.244.3.2'),
      mtu: 1442,
      netns: '/run/netns/pod1',
    }
    beforeEach(() => void ip('netns add pod1'))
    afterEach(async () => {
      run('ip', 'netns', 'del', 'pod1')
      await deletePodLink(device)
    })

    it('are there with address, routes, neighbour, GRO and no large SCTP packets, and gone after their removal', async () => {
      const ifindex = await createPodLink(link)
      assert.deepEqual([...(await systemPodHost.listDevices())], [[device, ifindex]])
      assert.deepEqual(await inspectPodLink(link), {
        hostMtu: 1442,
        mac: '0a:ce:0a:f4:03:02',
        mtu: 1442,
        isUp: true,
        addresses: ['10.244.3.2/32'],
        defaultGateway: '169.254.1.1',
        gatewayMac: '02:ce:47:00:00:01',
      })
      const features = inNamespace('pod1', 'ethtool', '-k', 'eth0')
      assert.match(features, /generic-receive-offload: on/)
      assert.match(features, /tx-sctp-segmentation: off/)
      assert.match(inNamespace('pod1', 'ip', 'link', 'show', 'lo'), /LOOPBACK,UP/)
      assert.equal(inNamespace('pod1', 'ip', '-6', 'addr', 'show', 'dev', 'eth0'), '')
      await deletePodLink(device)
      await deletePodLink(device)
      assert.deepEqual([...(await systemPodHost.listDevices())], [])
    })

    it('say what is wrong when they can’t be made, and leave this process where it was', async () => {
      const own = readlinkSync('/proc/thread-self/ns/net')
      const reason = async (failing: PodLink): Promise<string> => {
        const error = await createPodLink(failing).then(
          () => new Error('it was made'),
          (thrown: Error) => thrown,
        )
        return `${error.message}: ${(error.cause as Error | undefined)?.message}`
      }
      assert.match(await reason({ ...link, netns: '/run/netns/none' }), /^Cannot make "eth0" in .*: ENOENT/)
      assert.match(await reason({ ...link, netns: '/proc/version' }), /step into the network namespace: .*EINVAL/)
      assert.match(await reason({ ...link, mtu: 1 }), /Cannot add the veth .*EINVAL/)
      await createPodLink(link)
      assert.match(await reason(link), /Cannot add the veth .*EEXIST/)
      assert.equal(readlinkSync('/proc/thread-self/ns/net'), own)
    })

    it('say what of them was changed', async () => {
      await createPodLink(link)
      inNamespace('pod1', 'ip', 'addr', 'flush', 'dev', 'eth0')
      ip(`link set ${device} mtu 1000`)
      const broken = await inspectPodLink(link)
      assert.equal(broken.hostMtu, 1000)
      assert.deepEqual(broken.addresses, [])
      assert.equal(broken.defaultGateway, undefined)
    })

    it('go with their network namespace, whose path says nothing when it stays', async () => {
      await createPodLink(link)
      assert.equal(await systemPodHost.hasNamespace('/run/netns/pod1'), true)
      run('umount', '/run/netns/pod1')
      assert.equal(existsSync('/run/netns/pod1'), true)
      assert.equal(await systemPodHost.hasNamespace('/run/netns/pod1'), false)
      for (const end = Date.now() + 10_000; Date.now() < end; await systemClock.sleep(5))
        // the kernel takes its time
        if ((await systemPodHost.listDevices()).size === 0) break
      assert.equal((await systemPodHost.listDevices()).size, 0)
      ip('netns del pod1')
      ip('netns add pod1')
    })
  })

  describe('ports of the host and the way to the world', () => {
    const options = { podCIDR: '10.244.3.0/24', podNetworks: ['10.244.0.0/16'], serviceCIDRs: [], hostPorts: [] }
    const pods = ['10.244.3.2', '10.244.3.3'] as const
    const ports: OpenHostPort[] = [
      { protocol: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined, target: pods[0] },
      { protocol: 'udp', hostPort: 5353, containerPort: 53, hostIP: '192.0.2.1', target: pods[0] },
      { protocol: 'sctp', hostPort: 3868, containerPort: 3868, hostIP: undefined, target: pods[0] },
    ]
    let stateDir: string
    const servers: ChildProcess[] = []
    const serve = async (name: string): Promise<void> => {
      const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', ECHO, name], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      servers.push(child)
      await once(child.stdout!, 'data')
    }
    const ask = (from: string, kind: 'tcp' | 'udp', address: string, port: number): string => {
      const command = [process.execPath, '-e', ASK, kind, address, String(port)]
      return (from === 'host' ? run(command[0]!, ...command.slice(1)) : inNamespace(from, ...command)).trim()
    }
    before(async () => {
      stateDir = await mkdtemp('/tmp/centaurus-host-')
      await ensureHostNetwork({ ...options, stateDir })
      for (const [index, address] of pods.entries()) {
        ip(`netns add pod${index}`)
        const device = deviceNameOf(`pod${index}`, 'eth0')
        const netns = `/run/netns/pod${index}`
        await createPodLink({ device, ifname: 'eth0', ip: address, mac: macOf(address), mtu: 1442, netns })
        ip(`route add ${address}/32 dev ${device} src 10.244.3.1`) // what the data plane's programs do otherwise
        await serve(`pod${index}`)
      }
    })
    after(async () => {
      for (const server of servers) server.kill('SIGKILL')
      await removeHostNetwork({ stateDir })
      await rm(stateDir, { recursive: true })
    })

    it('lead from outside and from the host itself to the pod, which sees who asks from outside', async () => {
      await openHostPorts(ports)
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'pod0 saw 192.0.2.9')
      assert.equal(ask('world', 'udp', '192.0.2.1', 5353), 'pod0 saw 192.0.2.9')
      assert.match(ask('host', 'tcp', '192.0.2.1', 8080), /^pod0 saw /)
      assert.match(ask('pod1', 'tcp', '192.0.2.1', 8080), /^pod0 saw /)
    })

    it('are closed with the pod, all at once, as often as asked', async () => {
      await closeHostPorts(ports)
      await closeHostPorts(ports)
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'ECONNREFUSED')
    })

    it('lead to the pod that comes next, for UDP clients that go on asking too', async () => {
      const [tcp, udp] = ports as [OpenHostPort, OpenHostPort]
      await openHostPorts([udp])
      assert.equal(ask('world', 'udp', '192.0.2.1', 5353), 'pod0 saw 192.0.2.9')
      await closeHostPorts([udp])
      await openHostPorts([{ ...udp, target: pods[1] }])
      assert.equal(ask('world', 'udp', '192.0.2.1', 5353), 'pod1 saw 192.0.2.9')
      await openHostPorts([tcp])
      await assert.rejects(openHostPorts([{ ...tcp, target: pods[1] }]), /File exists/)
    })

    it('are there again with the whole table, and say so when it was removed', async () => {
      run('nft', 'flush', 'ruleset')
      await assert.rejects(openHostPorts(ports), /table "centaurus-network" was removed; restart the network daemon/)
      await ensureHostNetwork({ ...options, stateDir, hostPorts: ports })
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'pod0 saw 192.0.2.9')
      await ensureHostNetwork({ ...options, stateDir, hostPorts: undefined }) // by who does not know yet which there are
      assert.equal(ask('world', 'tcp', '192.0.2.1', 8080), 'pod0 saw 192.0.2.9')
    })

    it('give pods the host’s address in the world, which knows nothing of theirs', async () => {
      await serve('world')
      assert.equal(ask('pod0', 'tcp', '192.0.2.9', 80), 'world saw 192.0.2.1')
    })
  })
}
