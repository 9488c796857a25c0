import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import type { NetworkStatus } from '@centaurus/network'
import { whyNoRoot } from './lib/cluster.ts'
import { pod, shell } from './lib/manifests.ts'
import { onHost, PodNetworkHosts, type PodHostName } from './lib/pod-network-hosts.ts'
import { mustRun, waitFor } from './lib/processes.ts'

/** What a cold build of the runtime may take; a check has it from an earlier step. */
const INSTALL_TIMEOUT_MS = 600_000
const BIG_BYTES = 8 * 1024 * 1024
/** What a conversation takes that goes elsewhere: answers of ARP, and names that are asked for. */
const FEW_BYTES = 100_000
const ECHO_PORT = 9000
/** Serves a page and a large file by HTTP, and says back what it hears at another port. */
const SERVE = {
  command: shell(
    `trap exit TERM; mkdir /tmp/www; hostname > /tmp/www/name; head -c ${BIG_BYTES} /dev/zero > /tmp/www/big; httpd -p 8080 -h /tmp/www; nc -ll -p ${ECHO_PORT} -e cat & while :; do sleep 0.2; done`,
  ),
  readinessProbe: { httpGet: { path: '/name', port: 8080 }, periodSeconds: 1 },
}
const SANDBOXED = ['client', 'near', 'far', 'shy'] as const
type Name = (typeof SANDBOXED)[number] | 'plain'

describe('connections between sandboxes of two hosts', { skip: whyNoRoot() }, () => {
  let hosts: PodNetworkHosts
  const ips = new Map<Name, string>()
  const uids = new Map<Name, string>()

  before(async () => {
    hosts = await PodNetworkHosts.create('channels')
    for (const host of ['east', 'west'] as const)
      await hosts[host].mustCentaurus(['sandbox', 'install'], { timeoutMs: INSTALL_TIMEOUT_MS })
    const place = (name: Name): PodHostName => (name === 'far' ? 'west' : 'east')
    const sandboxed = (name: Name): Pod => {
      const one = pod(name, SERVE, { runtimeClassName: 'quark' })
      const annotations = name === 'shy' ? { 'quark.centaurus.io/channels': 'off' } : {}
      return onHost(place(name), one, { annotations })
    }
    await hosts.east.apply(...SANDBOXED.map(sandboxed), onHost('east', pod('plain', SERVE)))
    for (const name of [...SANDBOXED, 'plain'] as const) {
      await hosts.east.kubectl(`wait --for=condition=Ready pod ${name} --timeout=90s`)
      const { metadata, status } = await hosts.east.json<Pod>(`get pod ${name}`)
      ips.set(name, status!.podIP!)
      uids.set(name, metadata.uid!)
    }
  })
  after(() => hosts?.remove())

  const channels = async (host: PodHostName): Promise<NonNullable<NetworkStatus['channels']>> => {
    const socketPath = join(hosts[host].home, 'run/network.sock')
    const asked = request({ socketPath, path: '/status' }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    const { channels: status } = JSON.parse(await text(response)) as NetworkStatus
    assert.ok(status !== undefined)
    return status
  }
  /** What a pod of east got by its device. */
  const deviceBytes = async (name: Name): Promise<number> => {
    const dir = join(hosts.east.home, 'network/attachments')
    for (const file of await readdir(dir)) {
      const { uid, netns } = JSON.parse(await readFile(join(dir, file), 'utf8')) as { uid?: string; netns?: string }
      if (uid !== uids.get(name)) continue
      const told = await mustRun(['nsenter', `--net=${netns}`, 'ip', '-s', '-j', 'link', 'show', 'eth0'])
      const [link] = JSON.parse(told) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[]
      return link!.stats64.rx.bytes + link!.stats64.tx.bytes
    }
    throw new Error(`Pod ${name} is not attached`)
  }
  const fetch = (from: Name, to: Name, path: string): Promise<string> =>
    hosts.east.exec(from, `timeout 20 wget -qO- http://${ips.get(to)}:8080/${path} | wc -c`)
  const reaches = async (from: Name, to: Name): Promise<boolean> => {
    const script = `timeout 2 wget -qO- http://${ips.get(to)}:8080/name`
    return (await hosts.east.tryKubectl(['exec', from, '--', 'sh', '-c', script])).stdout === `${to}\n`
  }
  /** Fetches the large file: how many bytes of it went by devices, how many connections of channels it took. */
  const measure = async (from: Name, to: Name): Promise<{ byDevice: number; opened: number }> => {
    const [bytes, { opened }] = [await deviceBytes(from), await channels('east')]
    assert.equal(Number(await fetch(from, to, 'big')), BIG_BYTES)
    return { byDevice: (await deviceBytes(from)) - bytes, opened: (await channels('east')).opened - opened }
  }
  const isChannel = async (from: Name, to: Name): Promise<boolean> => {
    const { byDevice, opened } = await measure(from, to)
    assert.equal(byDevice < FEW_BYTES, opened > 0, `${byDevice} bytes by the device, ${opened} channels`)
    return opened > 0
  }
  const becomesChannel = (from: Name, to: Name): Promise<true> =>
    waitFor(`a channel from ${from} to ${to}`, () => isChannel(from, to))
  /** A connection that goes on: resolves with how it ended when it breaks. */
  const keepTalking = async (to: Name): Promise<{ readonly broken: Promise<string> }> => {
    await becomesChannel('client', to)
    const { connections } = await channels('east')
    const script = `rm -f /tmp/said; mkfifo /tmp/said; sleep 600 > /tmp/said & nc ${ips.get(to)} ${ECHO_PORT} < /tmp/said; kill $!; echo over`
    const broken = hosts.east.exec('client', script)
    broken.catch(() => {}) // told to who awaits it
    await waitFor('the conversation', async () => (await channels('east')).connections > connections)
    return { broken }
  }
  const policy = (from: object[]): object => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'servers' },
    spec: {
      podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['near', 'far'] }] },
      policyTypes: ['Ingress'],
      ingress: [{ from }],
    },
  })

  it('go by memory on one host, and by a link between two, past the network', async () => {
    await becomesChannel('client', 'near')
    await becomesChannel('client', 'far')
    const { carriedBytes, pods, links } = await channels('east')
    assert.ok(carriedBytes >= BIG_BYTES)
    assert.deepEqual({ pods, links }, { pods: 2, links: [hosts.address('west')] })
    assert.equal((await channels('west')).pods, 1)
    assert.match(
      await hosts.east.mustCentaurus(['network', 'status']),
      /Channels between sandboxes\nPods +2\nLinks +\S+\n/,
    )
  })

  it('are the network’s with pods that are in no sandbox, and with those that want none', async () => {
    for (const [from, to] of [
      ['plain', 'near'],
      ['plain', 'far'],
      ['client', 'plain'],
      ['client', 'shy'],
      ['shy', 'near'],
    ] as const)
      assert.equal(await isChannel(from, to), false, `${from} to ${to}`)
  })

  it('are judged by policies as others are, and cut when these change', async () => {
    const near = await keepTalking('near')
    const far = await keepTalking('far')
    await hosts.east.apply(policy([{ podSelector: { matchLabels: { app: 'plain' } } }]))
    assert.equal(await near.broken, 'over\n')
    assert.equal(await far.broken, 'over\n')
    for (const to of ['near', 'far'] as const) {
      assert.equal(await reaches('client', to), false, to)
      await waitFor('the other’s label to be known', () => reaches('plain', to))
    }
    await hosts.east.apply(policy([{ podSelector: { matchLabels: { app: 'client' } } }]))
    for (const to of ['near', 'far'] as const) {
      await becomesChannel('client', to)
      assert.equal(await reaches('shy', to), false, to)
    }
    await hosts.east.kubectl('delete networkpolicy servers')
  })

  it('go on while the network’s daemon is killed', async () => {
    const { broken } = await keepTalking('far')
    let isBroken = false
    void broken.then(() => (isBroken = true))
    const { opened } = await channels('east')
    const record = JSON.parse(await readFile(join(hosts.east.home, 'run/network.json'), 'utf8')) as { pid: number }
    process.kill(record.pid, 'SIGKILL')
    await waitFor('the daemon to be back', async () => {
      const { code, stdout } = await hosts.east.centaurus(['network', 'status', '-o', 'json'])
      return code === 0 && ((JSON.parse(stdout) as NetworkStatus).channels?.opened ?? 0) >= opened
    })
    await becomesChannel('client', 'near')
    assert.equal(isBroken, false)
  })

  it('break when the service is killed, are the network’s meanwhile, and channels again when it is back', async () => {
    const { broken } = await keepTalking('near')
    const service = await serviceOf(hosts.east.home)
    process.kill(service, 'SIGSTOP') // while it can't answer, it can't be started again either
    assert.equal(await reaches('client', 'far'), true)
    process.kill(service, 'SIGKILL')
    assert.equal(await broken, 'over\n')
    assert.equal(await reaches('client', 'near'), true)
    await becomesChannel('client', 'near')
    await becomesChannel('client', 'far')
    assert.notEqual(await serviceOf(hosts.east.home), service)
  })

  it('are the network’s on a node that is labelled so', async () => {
    const { broken } = await keepTalking('near')
    await hosts.east.kubectl('label node east centaurus.io/channels=off')
    assert.equal(await broken, 'over\n')
    assert.match((await channels('east')).problem ?? '', /label centaurus.io\/channels/)
    for (const to of ['near', 'far'] as const) assert.equal(await isChannel('client', to), false)
    await hosts.east.kubectl('label node east centaurus.io/channels-')
    await becomesChannel('client', 'near')
    await becomesChannel('client', 'far')
  })
})

/** The process of a home's service. */
async function serviceOf(home: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(`--control\0${home}/`)) return Number(pid)
  }
  throw new Error(`No service of channels runs for ${home}`)
}
