import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { identityContentOf, identityNameOf, type KubeObject, type ResourceType } from '@centaurus/api'
import { networkidentities, subnets, vpcs } from '@centaurus/api/centaurus/v1'
import { namespaces, nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { networkpolicies, type NetworkPolicy } from '@centaurus/api/networking/v1'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type InformerFactory } from '@centaurus/client'
import { createMemoryClient, isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { HostFacts } from '../dataplane/open-tables.ts'
import { NetworkNamespace } from '../testing/network-namespace.ts'
import { EchoServer, findWrongProbes, type ProbeResult } from '../testing/reachability.ts'
import type { NamedDrop } from './drop-log.ts'
import { openHostDataplane } from './host-dataplane.ts'
import { startNetworkDaemon, type NetworkDaemon } from './network-daemon.ts'
import type { NetworkStatus } from './status.ts'

const NODE = 'n1'
const KEYS = ['app']
const TIMEOUT_MS = 20_000

/** A host, its API and its daemon. */
class Host {
  readonly dir = mkdtempSync(join(tmpdir(), 'centaurus-network-'))
  readonly client = createMemoryClient()
  /** Names of the data plane's calls that write, since it was last emptied. */
  writes: string[] = []
  /** What the data plane was told of the host while it ran. */
  hosts: HostFacts[] = []
  serviceCIDRs = ['10.96.0.0/11']
  #daemon: NetworkDaemon | undefined
  #informers: InformerFactory | undefined
  #identities = 300

  async start(): Promise<void> {
    const informers = createInformerFactory(this.client)
    this.#informers = informers
    this.#daemon = await startNetworkDaemon({
      channels: () => undefined,
      nodeName: NODE,
      client: this.client,
      podInformers: informers,
      informers,
      stateDir: join(this.dir, 'state'),
      cniSocket: join(this.dir, 'cni.sock'),
      localSocket: join(this.dir, 'local.sock'),
      podNetworks: ['10.244.0.0/16'],
      serviceCIDRs: () => this.serviceCIDRs,
      dns: { address: '10.96.0.10', domain: 'cluster.local' },
      listSandboxes: async () => undefined,
      openDataplane: async (host) =>
        this.#record(
          await openHostDataplane(host, {
            bpffs: join(this.dir, 'bpf'),
            objects: join(tmpdir(), 'centaurus-bpf-objects'),
            attach: 'auto',
            logger: silentLogger,
          }),
        ),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    await this.#daemon.ready
  }

  async stop(): Promise<void> {
    await this.#daemon?.close()
    await this.#informers?.close()
    this.#daemon = undefined
  }

  /** The real data plane, whose writes are noted. */
  #record(dataplane: Dataplane): Dataplane {
    const names = ['setEndpoint', 'removeEndpoint', 'addPolicySet', 'extendPolicySet', 'removePolicySet'] as const
    const more = ['addIdentities', 'removeIdentities', 'setRoute', 'removeRoute', 'setNode', 'removeNode'] as const
    const egress = ['setEgress', 'removeEgress', 'setAlias', 'removeAlias'] as const
    const noted = Object.fromEntries(
      [...names, ...more, ...egress].map((name) => [
        name,
        (...args: never[]) => {
          this.writes.push(name)
          return (dataplane[name] as (...all: never[]) => unknown)(...args)
        },
      ]),
    )
    const setHost = (facts: HostFacts): void => {
      this.hosts.push(facts)
      dataplane.setHost(facts)
    }
    return { ...dataplane, ...noted, setHost }
  }

  async put<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<void> {
    const { namespace, name = '' } = object.metadata
    const known = await this.client.get(type, { namespace, name }).catch(() => undefined)
    if (known === undefined) await this.client.create(type, object)
    else await this.client.update(type, { ...object, metadata: { ...known.metadata, ...object.metadata } })
  }

  /** A pod of this node, with its identity: what the API has before it runs. */
  async declarePod(name: string, labels: Record<string, string>, { nodeName = NODE } = {}): Promise<void> {
    const object: Pod = {
      metadata: { namespace: 'shop', name, labels },
      spec: { nodeName, containers: [{ name: 'c' }] },
    }
    await this.put(pods, object)
    const content = identityContentOf(object, KEYS)
    const metadata = { name: identityNameOf(content) }
    const known = await this.client.get(networkidentities, metadata).catch(() => undefined)
    if (known !== undefined) return
    const spec = { ...content, keys: KEYS, id: ++this.#identities }
    await this.client.create(networkidentities, { metadata, spec })
  }

  /** Calls the plugin's socket as the shim does. */
  cni(command: 'ADD' | 'DEL', pod: string): Promise<{ readonly status: number; readonly body: string }> {
    const headers = {
      'cni-containerid': `c-${pod}`,
      'cni-netns': `/run/netns/${pod}`,
      'cni-ifname': 'eth0',
      'cni-args': `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod}`,
    }
    const config = JSON.stringify({ cniVersion: '1.0.0', name: 'centaurus', type: 'centaurus' })
    return this.#ask(
      { socketPath: join(this.dir, 'cni.sock'), path: `/cni/${command}`, method: 'POST', headers },
      config,
    )
  }

  async local<T>(path: string): Promise<T> {
    const { body } = await this.#ask({ socketPath: join(this.dir, 'local.sock'), path, method: 'GET' }, '')
    return JSON.parse(body) as T
  }

  async metrics(): Promise<string> {
    return (await this.#ask({ socketPath: join(this.dir, 'local.sock'), path: '/metrics', method: 'GET' }, '')).body
  }

  async drops(): Promise<NamedDrop[]> {
    const { body } = await this.#ask({ socketPath: join(this.dir, 'local.sock'), path: '/drops', method: 'GET' }, '')
    return body.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as NamedDrop]))
  }

  #ask(options: object, body: string): Promise<{ readonly status: number; readonly body: string }> {
    return new Promise((resolve, reject) => {
      const asked = request(options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
      })
      asked.on('error', reject)
      asked.end(body)
    })
  }
}

async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`)
    await delay(5)
  }
}

const onlyWeb: NetworkPolicy = {
  metadata: { namespace: 'shop', name: 'db' },
  spec: {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 5432 }] }],
  },
}

if (!isInNamespaces()) {
  describe("a host's network daemon", () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  execFileSync('ip', ['-batch', '-'], {
    input: `link add eth0 type veth peer name wire
address add 192.0.2.10/24 dev eth0
link set eth0 up
link set wire up
route add default dev eth0
`,
  })

  describe("a host's network daemon", { timeout: 120_000 }, () => {
    const host = new Host()
    const namespaceOf = new Map<string, NetworkNamespace>()
    const addressOf = new Map<string, string>()
    const servers: EchoServer[] = []

    async function attach(name: string, labels: Record<string, string>): Promise<void> {
      await host.declarePod(name, labels)
      const namespace = NetworkNamespace.create(name)
      namespaceOf.set(name, namespace)
      const { status, body } = await host.cni('ADD', name)
      assert.equal(status, 200, body)
      const result = JSON.parse(body) as { ips: { address: string }[] }
      addressOf.set(name, result.ips[0]!.address.replace('/32', ''))
      servers.push(
        new EchoServer(namespace, [
          { protocol: 'TCP', port: 5432 },
          { protocol: 'TCP', port: 80 },
        ]),
      )
    }

    function wrong(from: string, to: string, { port = 5432, expected = 'open' as ProbeResult } = {}): string[] {
      const probe = {
        from: namespaceOf.get(from)!,
        to: addressOf.get(to)!,
        protocol: 'TCP' as const,
        port,
        expected,
        name: `${from} -> ${to}:${port}`,
      }
      return findWrongProbes([probe], servers)
    }

    before(async () => {
      await host.put(vpcs, { metadata: { name: 'default' }, status: { vni: 1 } })
      await host.put(namespaces, { metadata: { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } } })
      await host.put(nodes, {
        metadata: { name: NODE },
        spec: { podCIDR: '10.244.3.0/24', podCIDRs: ['10.244.3.0/24'] },
        status: { addresses: [{ type: 'InternalIP', address: '192.0.2.10' }] },
      })
      // the label keys that identities have are those that some policy asks for
      await host.put(networkpolicies, { ...onlyWeb, spec: { podSelector: { matchLabels: { app: 'nobody' } } } })
      await host.start()
      await attach('web', { app: 'web' })
      await attach('db', { app: 'db' })
      await attach('other', { app: 'other' })
    })
    after(() => host.stop())

    it('tells the Node, and connects pods, whose endpoints are there before ADD answers', async () => {
      await until('the Node says that its network is ready', async () => {
        const node = await host.client.get(nodes, { name: NODE })
        const condition = node.status?.conditions?.find(({ type }) => type === 'NetworkUnavailable')
        return condition?.status === 'False' && condition.reason === 'NetworkReady'
      })
      assert.deepEqual(wrong('web', 'db'), [])
      const { pods: known } = await host.local<NetworkStatus>('/status')
      assert.deepEqual(known.map(({ namespace, name }) => `${namespace}/${name}`).toSorted(), [
        'shop/db',
        'shop/other',
        'shop/web',
      ])
      assert.ok(known.every(({ identity, policySet }) => identity > 256 && policySet > 0))
    })

    it('enforces a policy soon after it was made, and says who was dropped by which', async (t) => {
      assert.deepEqual(wrong('other', 'db'), [])
      await host.put(networkpolicies, onlyWeb)
      await until('the policy is in the kernel', async () =>
        (await host.local<NetworkStatus>('/status')).pods.some(({ isolated }) => isolated.ingress),
      )
      assert.deepEqual(wrong('other', 'db', { expected: 'closed' }), [])
      assert.deepEqual(wrong('web', 'db'), [])
      assert.deepEqual(wrong('web', 'db', { port: 80, expected: 'closed' }), [])
      const { lastChange } = await host.local<NetworkStatus>('/status')
      t.diagnostic(`effective after ${lastChange?.effectiveAfterMs.toFixed(2)} ms`)
      await until('a drop is told', async () => (await host.drops()).length > 0)
      const drop = (await host.drops()).find(({ destination }) => destination.port === 5432)!
      assert.deepEqual(
        [drop.reason, drop.source.name, drop.destination.name, drop.rule?.name, drop.rule?.index],
        ['PolicyIngress', 'shop/other', 'shop/db', 'db', -1],
      )
    })

    it('writes nothing when a pod with known labels comes or goes elsewhere', async () => {
      host.writes = []
      await host.declarePod('web-elsewhere', { app: 'web' }, { nodeName: 'n2' })
      await host.client.delete(pods, { namespace: 'shop', name: 'web-elsewhere' }, { gracePeriodSeconds: 0 })
      await host.declarePod('late', { app: 'late' }) // what comes after it shows that the former was seen
      await until('the new identity is in the kernel', () => host.writes.includes('addIdentities'))
      assert.deepEqual(host.writes, ['addIdentities'])
    })

    it('attaches a pod that is like others with one write, and takes it away with one', async () => {
      host.writes = []
      await attach('web-2', { app: 'web' })
      assert.deepEqual(host.writes, ['setEndpoint'])
      assert.deepEqual(wrong('web-2', 'db'), [])
      host.writes = []
      assert.equal((await host.cni('DEL', 'web-2')).status, 200)
      assert.deepEqual(host.writes, ['removeEndpoint'])
    })

    it('counts names that were asked for', async () => {
      assert.match(await host.metrics(), /^centaurus_network_dns_truncated_total 0$/m)
    })

    it('takes an address towards the world when a device has it, and its Node says while none has', async () => {
      const condition = async () =>
        (await host.client.get(nodes, { name: NODE })).status?.conditions?.find(
          ({ type }) => type === 'EgressAddressesReady',
        )
      const rules = (): string => execFileSync('nft', ['list', 'table', 'ip', 'centaurus-egress'], { encoding: 'utf8' })
      assert.equal(await condition(), undefined)
      const egressAddresses = [{ address: '192.0.2.50', node: NODE }]
      host.writes = []
      await host.put(vpcs, { metadata: { name: 'default' }, spec: { egressAddresses }, status: { vni: 1 } })
      await until('the Node says what is missing', async () => (await condition())?.status === 'False')
      assert.match((await condition())!.message!, /192\.0\.2\.50 \(Vpc "default" of tenant system\)/)
      await until('its pods send nothing', () => host.writes.includes('setEgress'))
      assert.equal(host.writes.filter((name) => name === 'setEndpoint').length, 3)
      execFileSync('ip', ['address', 'add', '192.0.2.50/24', 'dev', 'eth0'])
      await until('the Node says that it is there', async () => (await condition())?.status === 'True')
      assert.match(rules(), /0xce000001 : 192\.0\.2\.50/)
      const [egress] = (await host.local<NetworkStatus>('/status')).egressAddresses
      assert.deepEqual([egress?.vpc, egress?.address, egress?.words], ['default', '192.0.2.50', `in use, on ${NODE}`])
      await host.stop()
      await host.start()
      assert.match(rules(), /0xce000001 : 192\.0\.2\.50/)
      host.writes = []
      const lab = { metadata: { name: 'lab' }, spec: { cidr: '10.20.0.0/16', egressAddresses }, status: { vni: 8 } }
      await host.put(vpcs, lab)
      const block = { vpc: 'lab', cidr: '10.20.0.0/26', node: 'far' }
      await host.put(subnets, { metadata: { name: 'lab-10-20-0-0' }, spec: block })
      await until('another host’s block has another one here', () => host.writes.includes('setAlias'))
      await host.stop()
      await host.start()
      await host.client.delete(vpcs, { name: 'lab' })
      await until('the block is forgotten', () => host.writes.includes('removeAlias'))
      host.writes = []
      await host.put(vpcs, { metadata: { name: 'default' }, spec: {}, status: { vni: 1 } })
      await until(
        'nothing is left of it',
        () => host.writes.includes('removeEgress') && !rules().includes('0xce000001 :'),
      )
      assert.equal(host.writes.filter((name) => name === 'setEndpoint').length, 3)
    })

    it('leads processes of the host to Services of every range that the cluster has, and of those alone', async () => {
      const clusterIP = '172.30.0.5'
      await host.put(services, {
        metadata: { namespace: 'shop', name: 'far' },
        spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }] },
      })
      await host.put(endpointslices, {
        metadata: { namespace: 'shop', name: 'far', labels: { 'kubernetes.io/service-name': 'far' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [addressOf.get('other')!], nodeName: NODE, conditions: { ready: true } }],
        ports: [{ name: '', port: 80, protocol: 'TCP' }],
      })
      const routes = (): string => execFileSync('ip', ['route', 'show', 'dev', 'centaurus0'], { encoding: 'utf8' })
      assert.equal(await opens(clusterIP, 80), false)
      host.serviceCIDRs = ['10.96.0.0/11', '172.30.0.0/16']
      await until('the route', () => routes().includes('172.30.0.0/16'))
      await until('the Service', () => opens(clusterIP, 80))
      host.serviceCIDRs = ['10.96.0.0/11']
      await until('the end of the route', () => !routes().includes('172.30.0.0/16'))
      assert.match(routes(), /10\.96\.0\.0\/11/)
    })

    it('follows addresses of Services outside of the cluster, and other devices with an address', async () => {
      const routed = (): string => execFileSync('ip', ['route', 'get', '198.51.100.200'], { encoding: 'utf8' })
      const balanced = { metadata: { namespace: 'shop', name: 'balanced' } }
      const spec = { clusterIP: '10.96.0.21', externalIPs: ['198.51.100.200'], ports: [{ port: 80 }] }
      await host.put(services, { ...balanced, spec })
      await until('this host reaches it by the programs', () => routed().includes('dev centaurus0'))
      await host.client.delete(services, balanced.metadata)
      await until('nobody does any more', () => !routed().includes('dev centaurus0'))
      host.hosts = []
      execFileSync('ip', ['-batch', '-'], {
        input:
          'link add aside type veth peer name aside-peer\naddr add 10.55.0.1/24 dev aside\nlink set aside-peer up\nlink set aside up\n',
      })
      await until('the programs are there', () => host.hosts.at(-1)?.entrances?.length === 1)
      await until('its address too', () => host.hosts.at(-1)?.ownAddresses?.includes('10.55.0.1') === true)
      execFileSync('ip', ['link', 'del', 'aside'])
      await until('they are not', () => host.hosts.at(-1)?.entrances?.length === 0)
    })

    it('follows the MTU and the address of its uplink', async () => {
      const mtuOf = (device: string): number =>
        (
          JSON.parse(execFileSync('ip', ['-json', 'link', 'show', 'dev', device], { encoding: 'utf8' })) as {
            mtu: number
          }[]
        )[0]!.mtu
      host.hosts = []
      execFileSync('ip', ['-batch', '-'], {
        input:
          'link set eth0 mtu 1400\naddress flush dev eth0\naddress add 192.0.2.11/24 dev eth0\nroute replace default dev eth0\n',
      })
      await until('the programs know', () =>
        host.hosts.some(({ nodeIP, podMtu }) => nodeIP === '192.0.2.11' && podMtu === 1342),
      )
      assert.equal(mtuOf('centaurus0'), 1342)
      await attach('small', { app: 'web' })
      const inside = namespaceOf.get('small')!.exec(['ip', '-json', 'link', 'show', 'dev', 'eth0'])
      assert.equal((JSON.parse(inside) as { mtu: number }[])[0]!.mtu, 1342)
      assert.deepEqual(wrong('small', 'db'), [])
      assert.equal((await host.cni('DEL', 'small')).status, 200)
    })

    it('may be restarted while pods talk, and knows them again', async () => {
      await host.stop()
      assert.deepEqual(wrong('web', 'db'), [])
      assert.deepEqual(wrong('other', 'db', { expected: 'closed' }), [])
      await host.start()
      assert.deepEqual(wrong('web', 'db'), [])
      assert.deepEqual(wrong('other', 'db', { expected: 'closed' }), [])
      const { pods: known } = await host.local<NetworkStatus>('/status')
      assert.deepEqual(known.map(({ name }) => name).toSorted(), ['db', 'other', 'web'])
      await host.client.delete(networkpolicies, { namespace: 'shop', name: 'db' })
      await until('the policy is gone from the kernel', async () =>
        (await host.local<NetworkStatus>('/status')).pods.every(({ isolated }) => !isolated.ingress),
      )
      assert.deepEqual(wrong('other', 'db'), [])
    })

    it('makes its pods’ endpoints again when the kernel has lost its tables, as with another layout', async () => {
      await host.stop()
      execFileSync('umount', [join(host.dir, 'bpf')])
      await host.start()
      assert.deepEqual(wrong('web', 'db'), [])
      const { pods: known } = await host.local<NetworkStatus>('/status')
      assert.deepEqual(known.map(({ name, policySet }) => [name, policySet > 0]).toSorted(), [
        ['db', true],
        ['other', true],
        ['web', true],
      ])
    })

    it('leaves everything as it is when a pod’s object is gone, until the runtime takes the pod away', async () => {
      await host.client.delete(pods, { namespace: 'shop', name: 'db' }, { gracePeriodSeconds: 0 })
      await host.declarePod('later', { app: 'later' })
      await until('that was seen', () => host.writes.includes('addIdentities'))
      assert.deepEqual(wrong('web', 'db'), [])
      assert.equal((await host.cni('DEL', 'db')).status, 200)
      const { pods: known } = await host.local<NetworkStatus>('/status')
      assert.ok(!known.some(({ name }) => name === 'db'))
    })

    it('refuses a pod that nobody knows, with what it waited for', async () => {
      NetworkNamespace.create('ghost')
      const { status, body } = await host.cni('ADD', 'ghost')
      assert.equal(status, 500)
      assert.match(body, /Pod shop\/ghost is not known here yet/)
    })
  })
}

/** Whether a process of this host can open a connection. */
function opens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 })
    const end = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
    socket.once('timeout', () => end(false))
  })
}
