import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { ALL_TENANTS, type Stored } from '@centaurus/api'
import { tenants } from '@centaurus/api/centaurus/v1'
import { configmaps, events, namespaces, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { openClusterCertificates, SERVER_USER, type ClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createHttpClient } from '@centaurus/client/http'
import { createInformerFactory, type Client } from '@centaurus/client'
import { startClusterDns, type ClusterDns } from '@centaurus/network'
import { startNameServer } from '@centaurus/network/testing'
import { startServiceProxy } from '@centaurus/node'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { createMemoryStore } from '@centaurus/store'
import { startControlPlane, type ControlPlane } from './control-plane.ts'

const CLUSTER_DNS = '10.96.0.10'
/** Pods by their addresses; each has a network namespace of this name. */
const PODS: Readonly<Record<string, { tenant: string; namespace: string }>> = {
  '10.244.0.2': { tenant: 'acme', namespace: 'default' },
  '10.244.0.3': { tenant: 'system', namespace: 'default' },
}
const STRANGER = '10.244.0.9'
const UPSTREAM = '127.0.0.2'
const MANY = Array.from({ length: 100 }, (_, i) => `10.244.7.${i}`)
const WAIT_MS = 30_000
const POLL_MS = 20
/** What getaddrinfo of musl says: one address a line, or its error. */
const MUSL_PROGRAM = `
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
int main(int argc, char **argv) {
  struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list;
  int error = getaddrinfo(argv[1], 0, &hints, &list);
  if (error) return printf("%s\\n", gai_strerror(error)), 2;
  for (; list; list = list->ai_next) puts(inet_ntoa(((struct sockaddr_in *)list->ai_addr)->sin_addr));
  return 0;
}`

const run = promisify(execFile)

async function eventually<T>(what: string, check: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + WAIT_MS
  let problem: unknown
  for (;;) {
    try {
      const found = await check()
      if (found !== undefined) return found
    } catch (error) {
      problem = error
    }
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS} ms for ${what}`, { cause: problem })
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

if (!isInNamespaces()) {
  describe('names for pods, asked by real resolvers', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('names for pods, asked by real resolvers', () => {
    const dir = mkdtempSync(join(tmpdir(), 'centaurus-dns-'))
    const store = createMemoryStore()
    const closers: (() => Promise<void>)[] = []
    let certificates: ClusterCertificates
    let plane: ControlPlane
    let isPlaneOpen = true
    let dns: ClusterDns
    const clientOf = (tenant: string): Client => plane.server.client({ ...SERVER_USER, tenant })

    before(async () => {
      isolateHost()
      certificates = await openClusterCertificates()
      addPods([...Object.keys(PODS), STRANGER])
      plane = await startPlane()
      await plane.client.create(tenants, { metadata: { name: 'acme' } })
      await eventually('the tenant', async () => {
        await clientOf('acme').get(namespaces, { name: 'kube-system' })
        return clientOf('acme').get(services, { namespace: 'kube-system', name: 'kube-dns' })
      })
      await fill()
      await startUpstreams()
      dns = await startDns()
    })
    after(async () => {
      for (const close of closers.toReversed()) await close()
      await store.close()
      rmSync(dir, { recursive: true })
    })

    async function startPlane(): Promise<ControlPlane> {
      const made = await startControlPlane({
        store,
        certificates,
        port: 0,
        host: '127.0.0.1',
        advertiseAddress: '127.0.0.1',
        clusterDns: CLUSTER_DNS,
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
      })
      closers.push(closePlane)
      return made
    }

    async function closePlane(): Promise<void> {
      if (!isPlaneOpen) return
      isPlaneOpen = false
      await plane.close()
    }

    function addPods(addresses: readonly string[]): void {
      const ip = (...args: string[]): void => void execFileSync('ip', args)
      for (const [i, address] of addresses.entries()) {
        ip('netns', 'add', address)
        ip('link', 'add', `veth${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', address)
        ip('address', 'add', '169.254.1.1/32', 'dev', `veth${i}`)
        ip('link', 'set', `veth${i}`, 'up')
        ip('route', 'add', `${address}/32`, 'dev', `veth${i}`)
        ip('-n', address, 'address', 'add', `${address}/32`, 'dev', 'eth0')
        ip('-n', address, 'link', 'set', 'eth0', 'up')
        ip('-n', address, 'route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0', 'onlink')
      }
    }

    /** Services of operators and of acme with equal names, and one with many endpoints. */
    async function fill(): Promise<void> {
      const web: Service = { metadata: { namespace: 'default', name: 'web' }, spec: { ports: [{ port: 80 }] } }
      await clientOf('system').create(services, web)
      const acme = clientOf('acme')
      await acme.create(namespaces, { metadata: { name: 'prod' } })
      await acme.create(services, { ...web, metadata: { namespace: 'prod', name: 'web' } })
      const many = { namespace: 'prod', name: 'many' }
      await acme.create(services, { metadata: many, spec: { clusterIP: 'None', ports: [{ name: 'db', port: 5432 }] } })
      await acme.create(services, {
        metadata: { namespace: 'prod', name: 'outside' },
        spec: { type: 'ExternalName', externalName: 'www.elsewhere.example' },
      })
      await acme.create(endpointslices, {
        metadata: { ...many, labels: { 'kubernetes.io/service-name': 'many' } },
        addressType: 'IPv4',
        ports: [{ name: 'db', port: 5432, protocol: 'TCP' }],
        endpoints: MANY.map((address, i) => ({ addresses: [address], hostname: `many-${i}` })),
      })
    }

    /** Servers for the world's names, which all have one address that tells which port was asked. */
    async function startUpstreams(): Promise<void> {
      for (const port of [53, 5353]) {
        const close = await startNameServer({
          address: UPSTREAM,
          port,
          addressOf: (name) => (name.endsWith('.example') ? `203.0.113.${port === 53 ? 1 : 2}` : undefined),
        })
        closers.push(close)
      }
    }

    async function connect(
      commonName: string,
      { tenant, organizations = [] }: { tenant?: string; organizations?: string[] },
    ): Promise<ReturnType<typeof createHttpClient>> {
      const { certificatePem, keyPem } = await certificates.client(commonName, { commonName, organizations })
      const tls = { ca: certificates.authority.certificatePem, cert: certificatePem, key: keyPem }
      return createHttpClient({ server: plane.url, ...tls, ...(tenant === undefined ? {} : { tenant }) })
    }

    async function startDns(): Promise<ClusterDns> {
      const resolvConf = join(dir, 'host-resolv.conf')
      writeFileSync(resolvConf, `nameserver ${CLUSTER_DNS}\nnameserver ${UPSTREAM}\n`)
      const proxy = await connect('system:kube-proxy', { tenant: ALL_TENANTS })
      const agent = await connect('system:node:node', { organizations: ['system:nodes'] })
      const informers = createInformerFactory(proxy, { clock: systemClock, logger: silentLogger })
      const started = await startClusterDns({
        informers,
        client: agent,
        address: CLUSTER_DNS,
        domain: 'cluster.local',
        clientAt: (address) => PODS[address],
        clock: systemClock,
        logger: silentLogger,
        resolvConf,
      })
      closers.push(async () => {
        await started.close()
        await informers.close()
        await proxy.close()
        await agent.close()
      })
      await informers.whenSynced(AbortSignal.timeout(WAIT_MS))
      const deps = { informers, clock: systemClock, logger: silentLogger }
      const serviceProxy = startServiceProxy({ ...deps, nodeName: 'node', podCIDR: '10.244.0.0/24' })
      closers.push(() => serviceProxy.close())
      await serviceProxy.started
      return started
    }

    interface Asking {
      readonly pod?: string
      readonly search?: string
      readonly options?: string
    }

    /** Runs a program as a pod would, with a resolv.conf of its own; its output, also when it fails. */
    async function inPod(
      command: string,
      { pod = '10.244.0.2', search, options = 'ndots:5' }: Asking = {},
    ): Promise<string> {
      const domains = search ?? 'default.svc.cluster.local svc.cluster.local cluster.local'
      const file = join(dir, `resolv-${pod}-${options.replaceAll(' ', '-')}.conf`)
      writeFileSync(file, `nameserver ${CLUSTER_DNS}\nsearch ${domains}\noptions ${options} attempts:1\n`)
      const script = `mount --bind ${file} /etc/resolv.conf && { ${command}; } 2>&1`
      const args = ['netns', 'exec', pod, 'unshare', '-m', '--propagation', 'private', 'sh', '-c', script]
      try {
        return (await run('ip', args)).stdout
      } catch (error) {
        return String((error as { stdout?: string }).stdout)
      }
    }

    const addresses = (output: string): string[] =>
      [
        ...new Set(
          [...output.matchAll(/^(?:Address(?: \d+)?: )?(\d+\.\d+\.\d+\.\d+)(?!:)/gm)].map((match) => match[1]!),
        ),
      ]
        .filter((address) => address !== CLUSTER_DNS)
        .sort()

    async function clusterIP(tenant: string, namespace: string, name: string): Promise<string> {
      return (await clientOf(tenant).get(services, { namespace, name })).spec?.clusterIP ?? ''
    }

    it('glibc finds a tenant’s services by short and full names, over UDP and TCP', async () => {
      const prod = await clusterIP('acme', 'prod', 'web')
      for (const options of ['ndots:5', 'ndots:5 use-vc', 'ndots:5 edns0 trust-ad', 'ndots:1']) {
        for (const name of ['web.prod', 'web.prod.svc', 'web.prod.svc.cluster.local', 'WEB.Prod.svc.cluster.local.'])
          assert.deepEqual(addresses(await inPod(`getent ahostsv4 ${name}`, { options })), [prod], `${options} ${name}`)
      }
      assert.equal(await inPod('getent ahostsv4 web'), '', 'there is none in its own namespace')
    })

    it('busybox finds them too', async () => {
      const prod = await clusterIP('acme', 'prod', 'web')
      assert.deepEqual(addresses(await inPod('busybox nslookup web.prod.svc.cluster.local')), [prod])
      assert.match(await inPod('busybox nslookup none.prod.svc.cluster.local'), /NXDOMAIN|can't find/)
    })

    it('so does musl', async (t) => {
      const prod = await clusterIP('acme', 'prod', 'web')
      if (!existsSync('/usr/bin/musl-gcc')) return t.skip('no musl here: install musl-tools')
      writeFileSync(join(dir, 'musl.c'), MUSL_PROGRAM)
      execFileSync('musl-gcc', ['-static', '-o', join(dir, 'musl'), join(dir, 'musl.c')])
      const musl = (name: string): Promise<string> => inPod(`${join(dir, 'musl')} ${name}`)
      assert.equal(await musl('web.prod'), `${prod}\n`)
      assert.equal(await musl('www.elsewhere.example'), '203.0.113.1\n')
      assert.equal(await musl('outside.prod'), '203.0.113.1\n')
      assert.match(await musl('none.prod'), /^Name does not resolve/)
      assert.ok((await musl('many.prod')).split('\n').length > 20)
    })

    it('long answers come whole over TCP', async () => {
      assert.deepEqual(addresses(await inPod('getent ahostsv4 many.prod')), MANY.toSorted())
      assert.ok(dns.counters.truncated > 0)
      assert.deepEqual(addresses(await inPod('getent ahostsv4 many-7.many.prod')), ['10.244.7.7'])
      assert.match(await inPod('getent hosts 10.244.7.7'), /many-7\.many\.prod\.svc\.cluster\.local/)
    })

    it('operators’ pods and the host find operators’ services, and tenants’ by their tenant', async () => {
      const own = await clusterIP('system', 'default', 'web')
      const theirs = await clusterIP('acme', 'prod', 'web')
      const pod = '10.244.0.3'
      assert.deepEqual(addresses(await inPod('getent ahostsv4 web', { pod })), [own])
      assert.deepEqual(addresses(await inPod('getent ahostsv4 web.prod--acme', { pod })), [theirs])
      const { stdout } = await run('busybox', ['nslookup', 'web.default.svc.cluster.local', CLUSTER_DNS])
      assert.deepEqual(addresses(stdout), [own])
      const search = 'default--acme.svc.cluster.local'
      assert.deepEqual(addresses(await inPod('getent ahostsv4 web.prod', { pod, search })), [theirs])
    })

    it('others are told nothing, about the cluster or the world', async () => {
      for (const name of ['web.default.svc.cluster.local', 'www.elsewhere.example'])
        assert.equal(await inPod(`getent ahostsv4 ${name}.`, { pod: STRANGER }), '', name)
    })

    it('answers at the address that the Service has in a tenant, too', async () => {
      const [prod, address] = [
        await clusterIP('acme', 'prod', 'web'),
        await clusterIP('acme', 'kube-system', 'kube-dns'),
      ]
      const asked = await inPod(`busybox nslookup web.prod.svc.cluster.local ${address}`)
      assert.deepEqual(
        addresses(asked).filter((found) => found !== address),
        [prod],
      )
    })

    it('kube-dns is a Service that leads to the resolver, in every tenant', async () => {
      const system = await clientOf('system').get(services, { namespace: 'kube-system', name: 'kube-dns' })
      assert.equal(system.spec?.clusterIP, CLUSTER_DNS)
      assert.equal(system.metadata.labels?.['k8s-app'], 'kube-dns')
      for (const tenant of ['system', 'acme']) {
        const slice = await clientOf(tenant).get(endpointslices, { namespace: 'kube-system', name: 'kube-dns' })
        assert.deepEqual(slice.endpoints?.[0]?.addresses, [CLUSTER_DNS])
        const address = await clusterIP(tenant, 'kube-system', 'kube-dns')
        const pod = tenant === 'acme' ? '10.244.0.2' : '10.244.0.3'
        assert.deepEqual(
          addresses(await inPod('getent ahostsv4 kube-dns.kube-system', { pod })),
          [address].filter((a) => a !== CLUSTER_DNS),
        )
      }
    })

    it('other names are the world’s, and those that a tenant’s or the operators’ settings say', async () => {
      const world = async (pod: string): Promise<string[]> =>
        addresses(await inPod('getent ahostsv4 a.corp.example', { pod }))
      assert.deepEqual(await world('10.244.0.2'), ['203.0.113.1'])
      const data = { stubDomains: `{"corp.example": ["${UPSTREAM}:5353"]}` }
      const settings = { namespace: 'kube-system', name: 'centaurus-dns' }
      // a tenant may not have the host asked on its loopback; the rest of what it says is used
      await clientOf('acme').create(configmaps, {
        metadata: settings,
        data: { stubDomains: `{"corp.example": ["${UPSTREAM}:5353"], "x": ["9.9.9.9"]}` },
      })
      const event = await eventually('an Event', async () => {
        const { items } = await clientOf('acme').list(events, { namespace: 'kube-system' })
        return items.find(({ reason }) => reason === 'InvalidDNSSettings')
      })
      assert.match(event.message ?? '', /127\.0\.0\.2:5353 must be an address of the internet, or in a network that/)
      assert.deepEqual(await world('10.244.0.2'), ['203.0.113.1'])
      // until operators open it
      const opened = await clientOf('system').create(configmaps, {
        metadata: settings,
        data: { tenantNetworks: '["127.0.0.2/32"]' },
      })
      await eventually('the stub domain', async () =>
        String(await world('10.244.0.2')) === '203.0.113.2' ? true : undefined,
      )
      assert.deepEqual(await world('10.244.0.3'), ['203.0.113.1'], 'it is that tenant’s alone')
      await clientOf('system').update(configmaps, { ...opened, data } satisfies Stored<typeof opened>)
      await eventually('the cluster’s', async () =>
        String(await world('10.244.0.3')) === '203.0.113.2' ? true : undefined,
      )
    })

    it('answers from what it knows while the API is away', async () => {
      const prod = await clusterIP('acme', 'prod', 'web')
      const denied = dns.counters.queries.cluster['NXDOMAIN'] ?? 0
      await closePlane()
      assert.deepEqual(addresses(await inPod('getent ahostsv4 web.prod')), [prod])
      assert.equal(await inPod('getent ahostsv4 none.prod.svc.cluster.local.'), '')
      assert.ok((dns.counters.queries.cluster['NXDOMAIN'] ?? 0) > denied)
    })
  })
}
