import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { createKubeconfig, SERVER_USER } from '@centaurus/apiserver'
import { kubectlPath, runKubectl, type KubectlOptions, type KubectlResult } from '@centaurus/apiserver/testing/kubectl'
import { startTestNode, type TestNode } from '@centaurus/apiserver/testing/test-node'
import type { Client } from '@centaurus/client'
import { dialRemoteCommand } from '@centaurus/streams'
import { runPod } from '../relay/testing/world.ts'
import type { Gateway } from './gateway.ts'
import type { Identity } from './testing/front-client.ts'
import { adminOf, eventually, OPERATOR, startWorld, type World } from './testing/world.ts'

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: widgets, kind: Widget }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
`
const WIDGET = '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":3}}'

describe('the real kubectl through a gateway', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gateway-kubectl-'))
  let world: World
  let gateway: Gateway
  let node: TestNode

  before(async () => {
    world = await startWorld()
    await world.addTenant('acme', 'tp1')
    gateway = await world.gateway()
    const { certificates, servers } = world
    const serving = { commonName: 'system:node:k0', alternativeNames: ['127.0.0.1'] }
    node = await startTestNode(certificates.authority, await certificates.server('node', serving))
    await addNode(servers.rp1.client, 'k0', node.port)
    await addNode(servers.rp0.client, 'k1', node.port)
    await addNode(servers.home.client, 'k0', node.port) // so that home reaches it without a relay
    const metadata = { name: 'p', namespace: 'default' }
    await servers.home.client.create(pods, {
      metadata,
      spec: { nodeName: 'k0', containers: [{ name: 'c', image: 'x' }] },
    })
    const pod = await servers.home.client.get(pods, metadata)
    await servers.home.client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Running' } })
    const usage = (nanoCores: number, mebibytes: number): object => ({
      cpu: { time: new Date().toISOString(), usageNanoCores: nanoCores },
      memory: { workingSetBytes: mebibytes * 1024 ** 2 },
    })
    node.summary = {
      node: usage(250_000_000, 512),
      pods: [{ podRef: { uid: pod.metadata.uid }, containers: [{ name: 'c', ...usage(70_000_000, 3) }] }],
    }
    await writeUser('operator', OPERATOR)
    await writeUser('all', OPERATOR, '/tenants/all')
    await writeUser('acme', adminOf('acme'))
  })
  after(async () => {
    await world.close()
    await node.close()
    rmSync(directory, { recursive: true })
  })

  const writeUser = async (file: string, identity: Identity, path = ''): Promise<void> => {
    const { certificatePem: cert, keyPem: key } = await world.certificates.client(file, identity)
    const ca = world.certificates.authority.certificatePem
    const config = createKubeconfig({ server: `https://127.0.0.1:${gateway.port}${path}`, ca, cert, key })
    writeFileSync(join(directory, file), config, { mode: 0o600 })
  }

  for (const minor of [31, 35] as const) {
    const run = (
      args: string,
      { user = 'operator', ...more }: Partial<KubectlOptions> & { user?: string } = {},
    ): Promise<KubectlResult> => runKubectl(args.split(' '), { kubeconfig: join(directory, user), minor, ...more })
    const output = async (args: string, more: Parameters<typeof run>[1] = {}): Promise<string> => {
      const result = await run(args, more)
      assert.equal(result.code, 0, result.stderr)
      return result.stdout
    }

    it(`1.${minor} sees the nodes of all partitions, whole and page by page`, async () => {
      assert.match(await output('get nodes'), /^NAME\s+STATUS.*\nk1\s.*\nk0\s/)
      assert.match(await output('get nodes --chunk-size=1'), /^NAME\s+STATUS.*\nk1\s.*\nk0\s/)
      assert.equal(await output('get nodes -o name'), 'node/k1\nnode/k0\n')
      assert.match(await output('describe node k0'), /^Name:\s+k0\n/)
      assert.match((await run('get node nosuch')).stderr, /nodes "nosuch" not found/)
    })

    it(`1.${minor} shows what the nodes of all partitions use, and what pods do`, async () => {
      const rows = (await output('top nodes --no-headers')).trim().split('\n')
      assert.deepEqual(
        rows.map((row) => row.trim().split(/\s+/).slice(0, 2)),
        [
          ['k0', '250m'],
          ['k1', '250m'],
        ],
      )
      assert.match(await output('top node k1 --no-headers'), /^k1 +250m /)
      assert.match(await output('top pod p --no-headers'), /^p +70m +3Mi/)
      assert.match(await output('top pods -A --no-headers', { user: 'all' }), /^default +p +70m +3Mi/)
      assert.match((await run('top nodes', { user: 'acme' })).stderr, /not available|No resources/i)
    })

    it(`1.${minor} changes nodes where they are`, async () => {
      await output(`label node k0 minor=${minor}`)
      assert.equal(await output(`get nodes -l minor=${minor} -o name`), 'node/k0\n')
      await output('cordon k0')
      assert.match(await output('get node k0'), /SchedulingDisabled/)
      await output('uncordon k0')
      await output(`taint node k0 k=v:NoSchedule`)
      await output(`taint node k0 k-`)
      await output(`label node k0 minor-`)
      const input = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"k0","annotations":{"by":"kubectl-${minor}"}}}`
      await output('apply --server-side --force-conflicts -f -', { input })
      assert.equal(
        (await world.servers.rp1.client.get(nodes, { name: 'k0' })).metadata.annotations?.['by'],
        `kubectl-${minor}`,
      )
    })

    it(`1.${minor} tells of the cluster, and takes a node out of it`, async () => {
      assert.match(await output('cluster-info'), /control plane.* is running at .*https:\/\/127\.0\.0\.1/)
      const dump = await output('cluster-info dump --namespaces default')
      for (const part of ['"name": "k0"', '"name": "k1"', '==== START logs for container c of pod default/p'])
        assert.ok(dump.includes(part), `the dump lacks ${part}`)
      assert.equal((await run('get componentstatuses')).code, 0)
      const debugging = await output('debug node/k1 --image=any --attach=false --profile=general')
      const pod = /node-debugger-k1-\w+/.exec(debugging)?.[0] ?? ''
      assert.equal(await output(`get pod ${pod} -o jsonpath={.spec.nodeName}`), 'k1')
      const acme = world.servers.tp1.server.client({ ...SERVER_USER, tenant: 'acme' })
      const spec = { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x' }] }
      await runPod(acme, { name: `on-k1-${minor}`, node: 'k1', partition: 'rp0', spec })
      const drained = await output('drain k1 --force --grace-period=0 --timeout=30s', { user: 'all' })
      assert.match(drained, /node\/k1 drained/)
      assert.equal(await output('get pods -A --field-selector spec.nodeName=k1 -o name', { user: 'all' }), '')
      await output('uncordon k1')
    })

    it(`1.${minor} watches nodes of all partitions`, async () => {
      const child = spawn(kubectlPath(minor), ['get', 'nodes', '--watch', '-o', 'name'], {
        env: { KUBECONFIG: join(directory, 'operator'), HOME: directory },
      })
      try {
        const seen = collect(child.stdout)
        await seen.until((out) => out.includes('k0') && out.includes('k1'))
        await world.servers.rp0.client.create(nodes, { metadata: { name: `w0-${minor}` } })
        await world.servers.rp1.client.create(nodes, { metadata: { name: `w1-${minor}` } })
        await seen.until((out) => out.includes(`node/w0-${minor}`) && out.includes(`node/w1-${minor}`))
      } finally {
        child.kill()
      }
      await output(`delete node w0-${minor} w1-${minor}`)
    })

    it(`1.${minor} works in a tenant as in a cluster of its own`, async () => {
      const acme = { user: 'acme' }
      assert.match(await output('api-resources', acme), /deployments\s+deploy\s+apps\/v1/)
      await output('apply -f -', { ...acme, input: WIDGETS })
      await output('wait --for=condition=Established crd/widgets.example.com --timeout=5s', acme)
      await output('apply -f -', { ...acme, input: WIDGET })
      assert.equal(await output('get widgets -o name', acme), 'widget.example.com/a\n')
      assert.notEqual((await run('get widgets')).code, 0, 'operators have no such kind')
      await output('delete crd widgets.example.com', acme)
      await output('create configmap c --from-literal=a=b', acme)
      assert.match(await output('get configmaps -A', { user: 'all' }), /default--acme\s+c\s/)
      assert.match(
        await output('get configmap c -n default--acme -o yaml', { user: 'all' }),
        /centaurus.io\/tenant: acme/,
      )
      await output('delete configmap c -n default--acme', { user: 'all' })
      assert.notEqual((await run('get configmap c', acme)).code, 0)
      assert.equal((await run('get pod p', acme)).code, 1)
    })

    for (const protocol of ['WebSocket', 'SPDY']) {
      const flag = String(protocol === 'WebSocket')
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: flag, KUBECTL_PORT_FORWARD_WEBSOCKETS: flag }

      it(`1.${minor} runs commands and forwards ports over ${protocol}`, async () => {
        assert.equal(await output('exec -i p -- cat', { env, input: 'some input' }), 'SOME INPUT')
        assert.equal((await run('exec p -- fail', { env })).code, 7)
        const child = spawn(kubectlPath(minor), ['port-forward', '--address=127.0.0.1', 'p', ':8080'], {
          env: { ...env, KUBECONFIG: join(directory, 'operator'), HOME: directory },
        })
        try {
          const seen = collect(child.stdout)
          await seen.until((out) => /127\.0\.0\.1:\d+/.test(out))
          assert.equal(await echo(Number(/127\.0\.0\.1:(\d+)/.exec(seen.text())![1]), 'ping'), '8080:ping')
        } finally {
          child.kill()
        }
      })
    }

    it(`1.${minor} reads logs, and follows them until it has enough`, async () => {
      assert.equal(await output('logs p --tail=3'), 'GET /containerLogs/default/p/c\n')
      const child = spawn(kubectlPath(minor), ['logs', '-f', 'p'], {
        env: { KUBECONFIG: join(directory, 'operator'), HOME: directory },
      })
      const seen = collect(child.stdout)
      await seen.until((out) => out.includes('line\nline\n'))
      const closed = (): number => node.seen.filter((entry) => entry === 'log closed').length
      const before = closed()
      child.kill()
      await eventually(() => closed() > before)
    })
  }

  it('leads HTTP and commands to nodes by their proxies', async () => {
    const { certificatePem: cert, keyPem: key } = await world.certificates.client('operator', OPERATOR)
    const ca = world.certificates.authority.certificatePem
    const url = (path: string): URL => new URL(`https://127.0.0.1:${gateway.port}${path}`)
    const body = await new Promise<string>((resolve, reject) => {
      const asked = requestHttps(
        url('/api/v1/nodes/k0/proxy/pods/?x=1'),
        { ca, cert, key, agent: false },
        (response) => {
          text(response).then(resolve, reject)
        },
      )
      asked.on('error', reject).end()
    })
    assert.equal(body, 'GET /pods/\n')
    const target = {
      url: url('/api/v1/nodes/k0/proxy/exec/default/p/c?input=1&output=1&command=x'),
      tls: { ca, cert, key },
    }
    const client = await dialRemoteCommand(target, { stdin: true, stdout: true, stderr: false, tty: false })
    client.stdin?.end('hello')
    assert.equal(await text(client.stdout!), 'HELLO')
    client.close()
    const nobody = { url: target.url, tls: { ca } }
    await assert.rejects(
      dialRemoteCommand(nobody, { stdin: true, stdout: true, stderr: false, tty: false }),
      /403|refused/i,
    )
  })
})

async function addNode(client: Client, name: string, port: number): Promise<void> {
  await client.create(nodes, { metadata: { name } })
  const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }]
  const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: port } } }
  await client.updateStatus(nodes, { metadata: { name }, status })
}

interface Collected {
  text(): string
  until(condition: (text: string) => boolean): Promise<void>
}

function collect(stream: NodeJS.ReadableStream): Collected {
  let all = ''
  stream.on('data', (chunk: Buffer) => (all += chunk.toString()))
  return {
    text: () => all,
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (condition(all)) resolve()
        }
        stream.on('data', check)
        stream.on('close', () => reject(new Error(`Output ended with ${all}`)))
        check()
      }),
  }
}

function echo(port: number, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(sent))
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString()
      if (!received.endsWith(sent)) return
      socket.destroy()
      resolve(received)
    })
  })
}
