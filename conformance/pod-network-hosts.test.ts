import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import { whyNoRoot } from './lib/cluster.ts'
import { isAlive } from './lib/leftovers.ts'
import { pod } from './lib/manifests.ts'
import { onHost, POD_HOSTS, PodNetworkHosts, type PodHostName } from './lib/pod-network-hosts.ts'
import { SINK_PORT, TALK_PORT, type PodSockets } from './lib/pod-sockets.ts'
import { waitFor } from './lib/processes.ts'

const BULK_BYTES = 4 * 1024 * 1024
const NODE_PORT = 30_700
/** Connections to a Service after which both of two endpoints have answered: one in a million times they have not. */
const TRIES = 20
/** Serves the pod's own name, so that whoever asks a Service hears which pod answers. */
const WEB = {
  command: ['sh', '-c', 'echo "$HOSTNAME serves"; exec httpd -f -p 8080 -h /etc'],
  ports: [{ name: 'http', containerPort: 8080 }],
  readinessProbe: { httpGet: { path: '/hostname', port: 'http' }, periodSeconds: 1 },
}
const BOTH = ['web-east', 'web-west']
/** Of networks of three tenants. */
const SHARED_CIDR = '10.20.0.0/16'

interface Running {
  readonly ip: string
  readonly host: PodHostName
  readonly sockets: PodSockets
}

/** A script that says which pods answer at a URL. */
function askMany(url: string): string {
  return `for i in $(seq ${TRIES}); do timeout 5 wget -qO- ${url}/hostname; done | sort -u`
}

describe('the pod network of two hosts', { skip: whyNoRoot() }, () => {
  let hosts: PodNetworkHosts
  let east: Running
  let west: Running
  let guest: Running

  before(async () => {
    hosts = await PodNetworkHosts.create('podhosts')
    await hosts.east.kubectl('create namespace guests')
    await hosts.east.kubectl('label namespace guests invited=yes')
    await hosts.east.apply(
      ...POD_HOSTS.map((host) => onHost(host, pod(`web-${host}`, WEB), { labels: { app: 'web' } })),
      onHost('east', pod('guest'), { namespace: 'guests' }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: {
          type: 'NodePort',
          selector: { app: 'web' },
          ports: [{ port: 80, targetPort: 'http', nodePort: NODE_PORT }],
        },
      },
    )
    ;[east, west] = [await running('web-east'), await running('web-west')]
    guest = await running('-n guests guest')
    await hosts.openHost('world')
  })
  after(() => hosts?.remove())

  /** Waits for a pod, and opens sockets in it. */
  const running = async (name: string, tenant?: string): Promise<Running> => {
    const credentials = tenant === undefined ? '' : `--kubeconfig ${kubeconfig(tenant)}`
    await hosts.east.kubectl(`${credentials} wait --for=condition=Ready pod ${name} --timeout=90s`)
    const found = await hosts.east.json<Pod>(`${credentials} get pod ${name}`)
    const host = found.spec!.nodeName as PodHostName
    return { ip: found.status!.podIP!, host, sockets: await hosts.openPod(found, { tenant }) }
  }
  const kubeconfig = (tenant: string): string => join(hosts.east.home, tenant)
  const by = async (from: Running, to: Running, protocol: 'TCP' | 'UDP' = 'TCP'): Promise<string | undefined> =>
    (await from.sockets.ask(protocol, { ip: to.ip, port: TALK_PORT }))?.by
  const reaches = async (from: Running, to: Running): Promise<boolean> => (await by(from, to)) !== undefined
  const explain = async (from: string, to: string): Promise<string> =>
    (await hosts.east.centaurus(['network', 'explain', from, to, String(TALK_PORT)])).stdout
  /** Names of the pods that answer at a URL. */
  const answersAt = async (url: string): Promise<string[]> => {
    const urls = `${url}/hostname?[1-${TRIES}]`
    const answer = await hosts.east.inNetwork([...hosts.world.enter, 'curl', '-s', '-m', '5', urls])
    return [...new Set(answer.trim().split('\n'))].toSorted()
  }

  it('lets pods of both talk, by TCP and UDP, and loses no byte', async () => {
    assert.deepEqual([east.host, west.host, guest.host], ['east', 'west', 'east'])
    for (const [from, to] of [
      [east, west],
      [west, east],
    ] as const) {
      for (const protocol of ['TCP', 'UDP'] as const) {
        const answer = await from.sockets.ask(protocol, { ip: to.ip, port: TALK_PORT })
        assert.deepEqual(answer, { by: to.sockets.name, seenAs: from.ip })
      }
      assert.equal(await from.sockets.sendInBulk({ ip: to.ip, port: SINK_PORT, bytes: BULK_BYTES }), true)
    }
  })

  it('leads both to Services with endpoints on both, by name, and the world by node ports of both', async () => {
    for (const name of BOTH) assert.equal(await hosts.east.exec(name, askMany('http://web')), 'web-east\nweb-west\n')
    for (const host of POD_HOSTS) assert.deepEqual(await answersAt(`http://${hosts.address(host)}:${NODE_PORT}`), BOTH)
  })

  it('lets hosts reach pods of both', async () => {
    for (const host of POD_HOSTS) {
      for (const { ip, sockets } of [east, west]) {
        const page = await hosts[host].inNetwork(['curl', '-s', '-m', '5', `http://${ip}:8080/hostname`])
        assert.equal(page.trim(), sockets.name, `from ${host}`)
      }
    }
  })

  it('shows logs of pods on both, and reaches the world with the address of the host', async () => {
    for (const { sockets, host } of [east, west]) {
      assert.equal(await hosts.east.kubectl(`logs ${sockets.name}`), `${sockets.name} serves\n`)
      for (const protocol of ['TCP', 'UDP'] as const) {
        const answer = await sockets.ask(protocol, { ip: hosts.world.address, port: TALK_PORT })
        assert.deepEqual(answer, { by: 'world', seenAs: hosts.address(host) })
      }
    }
  })

  const policy = (name: string, from?: object): object => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec: { podSelector: {}, policyTypes: ['Ingress'], ...(from === undefined ? {} : { ingress: [{ from: [from] }] }) },
  })
  const applied = (name: string): Promise<string> =>
    hosts.east.eventually(`get networkpolicystatuses ${name}`, (table) => / 2\/2 /.test(table))

  it('denies between hosts what a policy denies as soon as it is said to be applied on both', async () => {
    await hosts.east.apply(policy('deny'))
    await applied('deny')
    const asked = [reaches(east, west), reaches(west, east), reaches(guest, west), reaches(guest, east)]
    assert.deepEqual(await Promise.all(asked), [false, false, false, false])
    assert.match(await explain('web-east', 'web-west'), /^DENIED[^]*default\/deny/)
    assert.match(await explain('guests/guest', 'web-west'), /^DENIED/)
    const ready = await hosts.east.kubectl(
      'get pods -o jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
    )
    assert.equal(ready, 'True True', 'probes come from the pods’ own hosts')
  })

  it('allows by labels of pods and of namespaces across hosts, and cuts a connection when that is revoked', async () => {
    await hosts.east.apply(policy('web', { podSelector: { matchLabels: { app: 'web' } } }))
    for (const [from, to] of [
      [east, west],
      [west, east],
    ] as const)
      await waitFor('the label to be known', () => reaches(from, to))
    assert.equal(await reaches(guest, west), false)
    assert.match(await explain('web-east', 'web-west'), /^ALLOWED/)
    await hosts.east.apply(policy('guests', { namespaceSelector: { matchLabels: { invited: 'yes' } } }))
    await applied('guests')
    for (const to of [east, west]) assert.equal(await reaches(guest, to), true)
    assert.match(await explain('guests/guest', 'web-west'), /^ALLOWED/)
    await east.sockets.startStream({ ip: west.ip, port: TALK_PORT })
    await hosts.east.kubectl('delete networkpolicy web')
    await waitFor('the connection to stand still', async () => {
      const { sent, answered } = await east.sockets.streamed()
      return sent > answered + 50
    })
    assert.equal(await reaches(east, west), false)
    assert.match(await explain('web-east', 'web-west'), /^DENIED/)
    assert.equal(await reaches(guest, west), true)
    await hosts.east.kubectl('delete networkpolicy deny guests')
    await waitFor('everybody to be let in', () => reaches(east, west))
  })

  it('keeps tenants apart whose pods have the same addresses, on one host and on two', async () => {
    for (const [tenant, partition] of [
      ['acme', 'home'],
      ['beta', 'west'],
    ] as const) {
      await hosts.east.mustCentaurus(['tenant', 'create', tenant, '--partition', partition])
      await writeFile(kubeconfig(tenant), await hosts.east.mustCentaurus(['tenant', 'kubeconfig', tenant]))
    }
    const networks: { readonly tenant: string | undefined; readonly order: readonly PodHostName[] }[] = [
      { tenant: 'acme', order: ['east', 'west'] },
      { tenant: 'beta', order: ['east', 'west'] },
      { tenant: undefined, order: ['west', 'east'] },
    ]
    const apply = (tenant: string | undefined, object: object): Promise<string> =>
      hosts.east.kubectl(`${tenant === undefined ? '' : `--kubeconfig ${kubeconfig(tenant)}`} apply -f -`, {
        input: JSON.stringify(object),
      })
    for (const { tenant } of networks) {
      const vpc = { apiVersion: 'centaurus.io/v1', kind: 'Vpc', metadata: { name: 'lab' }, spec: { cidr: SHARED_CIDR } }
      await apply(tenant, vpc)
    }
    const annotations = { 'centaurus.io/vpc': 'lab' }
    const pods: { readonly tenant: string | undefined; readonly pod: Running }[] = []
    // A network gives its first block to the host of its first pod.
    for (const turn of [0, 1]) {
      for (const { tenant, order } of networks)
        await apply(tenant, onHost(order[turn]!, pod(`lab-${turn}`), { annotations, labels: { net: 'lab' } }))
      for (const { tenant } of networks) pods.push({ tenant, pod: await running(`lab-${turn}`, tenant) })
    }
    const [acme, beta, ours] = pods.map((each) => each.pod)
    assert.deepEqual([acme!.ip, acme!.ip], [beta!.ip, ours!.ip])
    assert.deepEqual([acme!.host, beta!.host, ours!.host], ['east', 'east', 'west'])
    const nameOf = (tenant: string | undefined, name: string): string =>
      tenant === undefined ? name : `${tenant}/${name}`
    const asks = pods.flatMap(({ tenant, pod: from }) => [
      ...[acme!, pods[3]!.pod].flatMap((to, index) =>
        (['TCP', 'UDP'] as const).map(async (protocol) =>
          assert.equal(await by(from, to, protocol), nameOf(tenant, `lab-${index}`)),
        ),
      ),
      ...[east, west]
        .flatMap((other) => [reaches(from, other), reaches(other, from)])
        .map(async (isReached) => assert.equal(await isReached, false)),
    ])
    await Promise.all(asks)
    for (const { tenant, pod: each } of pods)
      assert.deepEqual(
        (await each.sockets.heard()).toSorted(),
        ['lab-0', 'lab-1'].map((name) => nameOf(tenant, name)),
      )
    for (const { sockets } of [east, west]) assert.ok((await sockets.heard()).every((name) => !/lab/.test(name)))
    const ports = [{ port: 80, targetPort: TALK_PORT }]
    const service = { metadata: { name: 'lab', annotations }, spec: { selector: { net: 'lab' }, ports } }
    await apply('acme', { apiVersion: 'v1', kind: 'Service', ...service })
    const ip = await hosts.east.kubectl(
      `--kubeconfig ${kubeconfig('acme')} get service lab -o jsonpath={.spec.clusterIP}`,
    )
    for (const name of ['acme/lab-0', 'acme/lab-1'])
      await waitFor(
        'the Service of the network to lead to both',
        async () => (await acme!.sockets.ask('TCP', { ip, port: 80 }))?.by === name,
      )
    // To a Service of others they are the world, at their own host as well.
    for (const host of POD_HOSTS) {
      const script = askMany(`http://${hosts.address(host)}:${NODE_PORT}`)
      const command = ['--kubeconfig', kubeconfig('acme'), 'exec', 'lab-0', '--', 'sh', '-c', script]
      const answers = await hosts.east.kubectl(command)
      assert.equal(answers, 'web-east\nweb-west\n')
    }
  })

  it('goes on while a network daemon is killed, which comes back and starts pods', async () => {
    await east.sockets.startStream({ ip: west.ip, port: TALK_PORT })
    const record = await readFile(join(hosts.west.home, 'run/network.json'), 'utf8')
    const { pid } = JSON.parse(record) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await waitFor('the daemon to be gone', async () => !isAlive(pid))
    await hosts.east.apply(onHost('west', pod('late')))
    const late = await running('late')
    assert.equal(await by(east, late), 'late')
    const { answered } = await east.sockets.streamed()
    await waitFor('the stream to go on', async () => (await east.sockets.streamed()).answered > answered)
    assert.equal((await east.sockets.streamed()).broken, undefined)
  })

  it('goes on on a host while the other is down, and is as before when that is up again', async () => {
    await guest.sockets.startStream({ ip: east.ip, port: TALK_PORT })
    await hosts.west.mustCentaurus(['down'], { timeoutMs: 120_000 })
    const { answered } = await guest.sockets.streamed()
    await waitFor('the stream to go on', async () => (await guest.sockets.streamed()).answered > answered)
    assert.equal(await reaches(east, west), false)
    await hosts.up('west')
    const again = await running('web-west')
    await waitFor('the pods to reach each other', () => reaches(east, again))
    assert.equal(await by(again, guest), 'guest')
    const { broken, sent } = await guest.sockets.streamed()
    assert.equal(broken, undefined)
    assert.ok(sent > 0)
  })
})
