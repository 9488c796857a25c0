import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { NetworkQuality } from '@centaurus/api'
import type { Node, NodeCondition, Pod } from '@centaurus/api/core/v1'
import { whyNoRoot } from './lib/cluster.ts'
import { isAlive } from './lib/leftovers.ts'
import { pod, shell } from './lib/manifests.ts'
import { onHost, PodNetworkHosts, type PodHostName } from './lib/pod-network-hosts.ts'
import { SINK_PORT, TALK_PORT, type PodSockets } from './lib/pod-sockets.ts'
import { mustRun, waitFor } from './lib/processes.ts'
import {
  LARGEST_PACKET_BYTES,
  assertHolds,
  describeWindow,
  isAbove,
  isBelow,
  watch,
  windowBetween,
  type RateBounds,
} from './lib/rate-window.ts'

/** So slow that the limit decides, and never the processor. */
const LIMIT = 6e6
const OTHER_LIMIT = 12e6
const LOWER_LIMIT = 3e6
/** What those who send have to send. */
const OFFERED = 30e6
const WINDOW_MS = 2_000
/** HTB saves up 128 KiB, and may lend a packet of 64 KiB; as much again may be on its way when a window begins. */
const EGRESS_BURST_BYTES = 2 * (128 + 64) * 1024
/** The bucket of what a pod gets: 400 ms, of which some is lent to those that are told of it. Who sends waits for nothing and loses packets, so less gets through. */
const INGRESS_BOUNDS: RateBounds = {
  bandwidth: LIMIT,
  burstBytes: (128 + 64) * 1024 + (LIMIT / 8) * 0.4,
  leastPart: 0.7,
}
/** DSCPs of outer headers (docs/shaping.md). */
const CLASSES_ON_THE_WIRE = [
  ['premium', 'high', 46],
  ['premium', 'low', 36],
  ['expedited', 'medium', 20],
  ['best-effort', 'low', 1],
] as const

const EGRESS = 'kubernetes.io/egress-bandwidth'
const INGRESS = 'kubernetes.io/ingress-bandwidth'
const CLASS = 'centaurus.io/network-class'
const PRIORITY = 'centaurus.io/network-priority'

interface Running {
  readonly ip: string
  readonly namespace: string
  readonly sockets: PodSockets
}

/** The shaping of this kernel, which has no fq. */
describe('shaping of two hosts', { skip: whyNoRoot() }, () => {
  let hosts: PodNetworkHosts
  /** Send by TCP and by UDP. */
  let talker: Running
  let shouter: Running
  /** Get what is sent: on the host of those who send, and on the other. */
  let near: Running
  let far: Running
  let wide: Running

  before(async () => {
    hosts = await PodNetworkHosts.create('shaping')
  })
  after(() => hosts?.remove())

  const kubectl = (args: string | readonly string[]): Promise<string> => hosts.east.kubectl(args)
  const kubeconfig = (tenant: string): string => join(hosts.east.home, tenant)
  const running = async (name: string, tenant?: string): Promise<Running> => {
    const credentials = tenant === undefined ? '' : `--kubeconfig ${kubeconfig(tenant)}`
    await kubectl(`${credentials} wait --for=condition=Ready pod ${name} --timeout=90s`)
    const found = await hosts.east.json<Pod>(`${credentials} get pod ${name}`)
    return {
      ip: found.status!.podIP!,
      namespace: found.metadata.namespace!,
      sockets: await hosts.openPod(found, { tenant }),
    }
  }
  const annotate = (what: string, ...annotations: readonly string[]): Promise<string> =>
    kubectl(['annotate', '--overwrite', ...what.split(' '), ...annotations])
  const condition = async (): Promise<NodeCondition> => {
    const { status } = await hosts.east.json<Node>('get node east')
    return status!.conditions!.find(({ type }) => type === 'NetworkShaping')!
  }
  const tc = (host: PodHostName, ...args: string[]): Promise<string> => hosts[host].inNetwork(['tc', ...args])
  /** Classes of pods with limits, in order. */
  const podClasses = async (): Promise<string[]> => {
    const classes = await tc('east', 'class', 'show', 'dev', 'eth0')
    return [...classes.matchAll(/^class htb (ce00:1[0-9a-f]{2}) .* rate (\S+)/gm)]
      .map(([, id, rate]) => `${id} ${rate}`)
      .toSorted()
  }
  const flood = (from: Running, to: Running, protocol: 'TCP' | 'UDP'): Promise<void> =>
    from.sockets.flood({ protocol, ip: to.ip, port: protocol === 'TCP' ? SINK_PORT : TALK_PORT, offered: OFFERED })
  /** Waits until a limit begins to hold and is used, then looks whether it holds for longer. */
  const comesToHold = async (receiver: Running, bounds: RateBounds, what: string): Promise<void> => {
    const since = performance.now()
    let seen = ''
    await waitFor(
      what,
      async () => {
        const window = await watch(receiver.sockets, WINDOW_MS / 2)
        seen = describeWindow(window)
        return !isAbove(window, { ...bounds, burstBytes: 65_536 }) && !isBelow(window, bounds)
      },
      { timeoutMs: 20_000, describe: async () => `${seen}\n${await tc('east', '-s', 'class', 'show', 'dev', 'eth0')}` },
    )
    process.stderr.write(`# ${what}: ${seen}, after ${((performance.now() - since) / 1e3).toFixed(1)} s\n`)
    assert.equal(isAbove(await watch(receiver.sockets, WINDOW_MS / 2), bounds), false, `${what}, for longer`)
  }

  it('says that the kernel lacks fq and what to do, and shapes nothing until a pod asks', async () => {
    await waitFor('the condition', async () => (await condition())?.status === 'False')
    const { reason, message } = await condition()
    assert.equal(reason, 'NoFq')
    assert.match(
      message!,
      /shapes nothing until a pod has a class or a bandwidth.*; install the kernel's extra modules/,
    )
    assert.doesNotMatch(await tc('east', 'qdisc', 'show', 'dev', 'eth0'), /htb/)
  })

  it('shapes by HTB as soon as a pod has a limit', async () => {
    const limited = { annotations: { [EGRESS]: '6M' } }
    await hosts.east.apply(
      onHost('east', pod('talker'), limited),
      onHost('east', pod('shouter'), limited),
      onHost('east', pod('near')),
      onHost('west', pod('far')),
      onHost('west', pod('wide')),
    )
    ;[talker, shouter] = [await running('talker'), await running('shouter')]
    ;[near, far, wide] = [await running('near'), await running('far'), await running('wide')]
    // without waiting: limits are there before the pods
    for (const each of await podClasses()) assert.match(each, /^ce00:11[0-2] 6Mbit$/)
    assert.equal((await podClasses()).length, 2)
    await waitFor('the condition', async () => /shapes by HTB/.test((await condition()).message!))
    assert.equal((await condition()).reason, 'NoFq')
    assert.doesNotMatch(await tc('west', 'qdisc', 'show', 'dev', 'eth0'), /htb/, 'no pod asks there')
  })

  const egress = (bandwidth: number): RateBounds => ({ bandwidth, burstBytes: EGRESS_BURST_BYTES })
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

  it('holds what pods may send to another host from the first byte on, by TCP and UDP, and lets them send it', async () => {
    const first = await Promise.all([far, wide].map(({ sockets }) => sockets.octets()))
    await Promise.all([flood(talker, far, 'TCP'), flood(shouter, wide, 'UDP')])
    const begun = await Promise.all([far, wide].map(({ sockets }) => sockets.octets()))
    await wait(WINDOW_MS)
    for (const [index, { sockets }] of [far, wide].entries()) {
      const last = await sockets.octets()
      assertHolds(windowBetween(begun[index]!, last), egress(LIMIT), sockets.name)
      assert.equal(isAbove(windowBetween(first[index]!, last), egress(LIMIT)), false)
    }
  })

  it('follows annotations of a pod and of its namespace while the connection stays', async () => {
    await annotate('pod talker', `${EGRESS}=12M`)
    await comesToHold(far, egress(OTHER_LIMIT), 'a higher limit')
    const first = await far.sockets.octets()
    await annotate('pod talker', `${EGRESS}=3M`, `${CLASS}=premium`)
    await comesToHold(far, egress(LOWER_LIMIT), 'a lower limit and another class')
    assert.equal(
      isAbove(windowBetween(first, await far.sockets.octets()), egress(OTHER_LIMIT)),
      false,
      'no gap between',
    )
    await annotate('pod talker', `${EGRESS}-`)
    await waitFor('more than any limit', async () => isAbove(await watch(far.sockets, 500), egress(OTHER_LIMIT)))
    await annotate('namespace default', `${EGRESS}=12M`)
    await comesToHold(far, egress(OTHER_LIMIT), 'the limit of the namespace')
    assertHolds(await watch(wide.sockets, WINDOW_MS), egress(LIMIT), 'a pod with its own')
    await annotate('namespace default', `${EGRESS}-`)
    for (const { sockets } of [talker, shouter]) assert.equal(await sockets.calm(), undefined, 'the connection stayed')
  })

  it('refuses what means nothing, with what is allowed', async () => {
    for (const [annotation, message] of [
      [`${EGRESS}=fast`, /Invalid value: "fast": must be/],
      [`${CLASS}=golden`, /must be premium, expedited or best-effort/],
      [`${PRIORITY}=1`, /must be high, medium or low/],
    ] as const) {
      const { code, stderr } = await hosts.east.tryKubectl(['annotate', '--overwrite', 'pod', 'talker', annotation])
      assert.equal(code, 1)
      assert.match(stderr, message)
    }
  })

  it('holds what pods get, from the same host and from another, by TCP and UDP', async () => {
    for (const name of ['near', 'far']) await annotate(`pod ${name}`, `${INGRESS}=6M`)
    await annotate('pod shouter', `${EGRESS}-`)
    await waitFor('the limits', async () => {
      const { pods } = await hosts.status('east')
      const limits = new Map(pods.map(({ name, quality }) => [name, quality]))
      return limits.get('near')?.ingressBandwidth === LIMIT && limits.get('shouter')?.egressBandwidth === undefined
    })
    await waitFor('the limit of the other host', async () =>
      (await hosts.status('west')).pods.some(
        ({ name, quality }) => name === 'far' && quality.ingressBandwidth === LIMIT,
      ),
    )
    for (const protocol of ['TCP', 'UDP'] as const) {
      const first = await Promise.all([near, far].map(({ sockets }) => sockets.octets()))
      await Promise.all([flood(talker, near, protocol), flood(shouter, far, protocol)])
      await wait(WINDOW_MS)
      for (const [index, { sockets }] of [near, far].entries())
        assertHolds(
          windowBetween(first[index]!, await sockets.octets()),
          INGRESS_BOUNDS,
          `${protocol} to ${sockets.name}`,
        )
      for (const { sockets } of [talker, shouter]) assert.equal(await sockets.calm(), undefined)
    }
    for (const name of ['near', 'far']) await annotate(`pod ${name}`, `${INGRESS}-`)
  })

  it('serves the better class first when the link is full, and starves nobody', async () => {
    await annotate('node east', 'centaurus.io/link-bandwidth=12M')
    await Promise.all([flood(talker, far, 'TCP'), flood(shouter, wide, 'UDP')])
    const [premium, other] = await waitFor('the order', async () => {
      const [first, second] = await Promise.all([far, wide].map(({ sockets }) => watch(sockets, WINDOW_MS)))
      return first!.octets > 3 * second!.octets && [first!, second!]
    })
    process.stderr.write(`# premium: ${describeWindow(premium!)}, best-effort: ${describeWindow(other!)}\n`)
    assert.ok(other!.octets > 0)
    const both = { ...premium!, octets: premium!.octets + other!.octets }
    assertHolds(both, egress(OTHER_LIMIT), 'the link')
    assert.match(await hosts.east.mustCentaurus(['network', 'status']), /^Classes at eth0 with 12 Mbit\/s, by HTB$/m)
    for (const { sockets } of [talker, shouter]) assert.equal(await sockets.calm(), undefined)
    await annotate('node east', 'centaurus.io/link-bandwidth-')
  })

  /** Waits until tunnels between the hosts show this and nothing else while a pod speaks. */
  const comesToShow = (from: Running, dscp: number): Promise<unknown> =>
    waitFor(`DSCP ${dscp}`, async () => {
      await hosts.tunnelDscps('east')
      for (let i = 0; i < 3; i++) await from.sockets.ask('UDP', { ip: far.ip, port: TALK_PORT })
      return isDeepStrictEqual(await hosts.tunnelDscps('east'), [dscp])
    })

  it('tells the network between hosts the class, and not what the pod writes itself', async () => {
    for (const [networkClass, priority, dscp] of CLASSES_ON_THE_WIRE) {
      await annotate('pod talker', `${CLASS}=${networkClass}`, `${PRIORITY}=${priority}`)
      await comesToShow(talker, dscp)
    }
    const nft = (pod: Running, rules: string): Promise<string> => mustRun([...pod.sockets.enter, 'nft', rules])
    await nft(talker, 'table ip own { chain out { type filter hook output priority 0; ip dscp set ef; }; }')
    await nft(far, 'table ip own { chain in { type filter hook input priority 0; ip dscp ef counter; }; }')
    await comesToShow(talker, CLASSES_ON_THE_WIRE.at(-1)![2])
    assert.match(await nft(far, 'list table ip own'), /counter packets [1-9]/, 'the other pod sees what was written')
    for (const each of [talker, far]) await nft(each, 'delete table ip own')
  })

  it('refuses a tenant a class without a grant, and gives it what operators grant, live', async () => {
    await hosts.east.mustCentaurus(['tenant', 'create', 'acme', '--partition', 'home'])
    await writeFile(kubeconfig('acme'), await hosts.east.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
    const create = (name: string, host: PodHostName, annotations = {}) =>
      hosts.east.tryKubectl(['--kubeconfig', kubeconfig('acme'), 'apply', '-f', '-'], {
        input: JSON.stringify(onHost(host, pod(name), { annotations })),
      })
    const grant = (network: object): Promise<string> =>
      kubectl(['patch', 'tenant', 'acme', '--type', 'merge', '-p', JSON.stringify({ spec: { network } })])
    const refused = await create('gold', 'east', { [CLASS]: 'premium' })
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /premium with priority medium is more than best-effort with medium, which tenant acme may have/,
    )
    await grant({ max: { class: 'premium' } })
    await waitFor('the grant', async () => (await create('gold', 'east', { [CLASS]: 'premium' })).code === 0)
    assert.equal((await create('sink', 'west')).code, 0)
    const [gold, sink] = [await running('gold', 'acme'), await running('sink', 'acme')]
    await flood(gold, sink, 'TCP')
    assert.deepEqual(await qualityOf('gold'), { networkClass: 'premium', priority: 'medium' })
    await grant({ egressBandwidth: '6M' })
    await comesToHold(sink, egress(LIMIT), 'the limit of the tenant')
    assert.deepEqual(await qualityOf('gold'), { networkClass: 'premium', priority: 'medium', egressBandwidth: LIMIT })
    await grant({ max: null })
    await waitFor('the grant to be gone', async () => (await qualityOf('gold'))?.networkClass === 'best-effort')
    await comesToHold(sink, egress(LIMIT), 'without the grant')
    assert.equal(await gold.sockets.calm(), undefined)
  })
  const qualityOf = async (name: string): Promise<NetworkQuality | undefined> =>
    (await hosts.status('east')).pods.find((each) => each.name === name)?.quality

  it('shows classes and limits to people, and to whoever collects metrics', async () => {
    await annotate('pod shouter', `${EGRESS}=6M`, `${INGRESS}=1G`, `${CLASS}=expedited`, `${PRIORITY}=high`)
    await waitFor('its limit', async () => (await qualityOf('shouter'))?.egressBandwidth === LIMIT)
    await shouter.sockets.ask('UDP', { ip: far.ip, port: TALK_PORT })
    const shown = await hosts.east.mustCentaurus(['network', 'status'])
    assert.match(shown, / at eth0 .*, by HTB\nThis kernel has no fq/)
    assert.match(shown, /shouter .* expedited\/high +6 Mbit\/s +1000 Mbit\/s/)
    assert.match(shown, /near .* best-effort\/medium +- +-/)
    assert.match(shown, /^expedited high +- +[1-9]/m)
    const socket = join(hosts.east.home, 'run/network.sock')
    const metrics = await mustRun(['curl', '-s', '--unix-socket', socket, 'http://localhost/metrics'])
    assert.match(metrics, /^centaurus_network_qos_packets_total\{level="expedited high"\} [1-9]/m)
    assert.match(metrics, /^centaurus_network_qos_bytes_total\{level="premium high"\} [1-9]/m)
  })

  it('holds limits while the network daemon is killed and comes back, without a burst', async () => {
    const classes = await podClasses()
    const first = await wide.sockets.octets()
    await flood(shouter, wide, 'TCP')
    const begun = await wide.sockets.octets()
    const record = await readFile(join(hosts.east.home, 'run/network.json'), 'utf8')
    const { pid } = JSON.parse(record) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await waitFor('the daemon to be gone', async () => !isAlive(pid))
    const rush = { command: shell(`nc ${far.ip} ${SINK_PORT} < /dev/zero`) }
    const beforeLate = await far.sockets.octets()
    await hosts.east.apply(onHost('east', pod('late', rush), { annotations: { [EGRESS]: '6M' } }))
    await running('late')
    await wait(WINDOW_MS / 2)
    const ofLate = windowBetween(beforeLate, await far.sockets.octets())
    assert.equal(isAbove(ofLate, egress(LIMIT)), false, `a pod that sends at once: ${describeWindow(ofLate)}`)
    assert.ok(ofLate.octets > LARGEST_PACKET_BYTES, 'it does send')
    const last = await wide.sockets.octets()
    assertHolds(windowBetween(begun, last), egress(LIMIT), 'while the daemon was away')
    assert.equal(isAbove(windowBetween(first, last), egress(LIMIT)), false)
    const after = await podClasses()
    assert.deepEqual(after.slice(0, classes.length), classes, 'each pod has the number that it had')
    assert.equal(after.length, classes.length + 1)
    assert.equal(await shouter.sockets.calm(), undefined)
  })

  it('gives the device its default back when it goes down', async () => {
    await annotate('pod far', `${EGRESS}=6M`)
    await waitFor('HTB on the other host', async () => /htb/.test(await tc('west', 'qdisc', 'show', 'dev', 'eth0')))
    await hosts.west.mustCentaurus(['down'], { timeoutMs: 120_000 })
    assert.match(await tc('west', 'qdisc', 'show', 'dev', 'eth0'), /^qdisc \w+ 0: /)
    assert.equal(await tc('west', 'class', 'show', 'dev', 'eth0'), '')
  })
})
