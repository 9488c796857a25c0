import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { mountsUnder } from './lib/leftovers.ts'
import { IMAGE, pod } from './lib/manifests.ts'

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
}

describe('the network of a host over the life of its cluster', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster
  let untouched: { devices: string; rules: string; settings: string }

  before(async () => {
    cluster = await TestCluster.create('switch')
    await cluster.inNetwork(['sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward'])
    untouched = await lookAtHost()
    await cluster.up()
    const serve = {
      image: IMAGE,
      command: ['httpd', '-f', '-p', '8080', '-h', '/etc'],
      ports: [{ containerPort: 8080, hostPort: 8088 }],
    }
    await cluster.apply(pod('web', serve, { terminationGracePeriodSeconds: 1 }), pod('friend'), SERVICE)
    await useIt()
  })
  after(() => cluster?.remove())

  /** Everything that a network puts into a host, but for bpf: that has a mount. */
  const lookAtHost = async (): Promise<{ devices: string; rules: string; settings: string }> => {
    const look = (command: string): Promise<string> => cluster.inNetwork(['sh', '-c', command])
    const devices = await look(
      'ip -4 -o address; ip -o link; ip -4 route show table all; ip -4 neigh show nud permanent',
    )
    return {
      devices: devices.replaceAll(/ (valid_lft|preferred_lft) \S+/g, ''),
      rules: await look('ip rule; nft list ruleset'),
      settings: await look('sysctl net.ipv4.ip_forward net.ipv4.conf.lo.accept_local'),
    }
  }
  const useIt = async (): Promise<void> => {
    await cluster.kubectl('wait --for=condition=Ready pod/web pod/friend --timeout=60s')
    await cluster.eventually('exec friend -- timeout 5 wget -qO- http://web/hostname', (page) => page === 'web\n')
    const page = await cluster.inNetwork(['curl', '-s', '-m', '5', `http://${cluster.network!.address}:8088/hostname`])
    assert.equal(page, 'web\n')
  }
  const networkOf = async (): Promise<unknown> =>
    (JSON.parse(await readFile(join(cluster.home, 'settings.json'), 'utf8')) as { network?: string }).network

  it('is our own without being asked for', async () => {
    assert.equal(await networkOf(), 'centaurus')
    assert.match(await cluster.mustCentaurus(['network', 'status']), /State +ready/)
  })

  it('is refused to another cluster, which touches nothing', async () => {
    const other = await mkdtemp(join(tmpdir(), 'centaurus-other-'))
    const env = { CENTAURUS_HOME: other }
    try {
      const before = await lookAtHost()
      const refused = await cluster.centaurus(['up', '--port', '7443'], { env })
      assert.equal(refused.code, 1)
      assert.ok(
        (refused.stdout + refused.stderr).includes(
          `this machine is a node of the cluster in ${cluster.home}. Stop that one first: CENTAURUS_HOME=${cluster.home} ./centaurus down`,
        ),
        refused.stdout + refused.stderr,
      )
      await cluster.centaurus(['down'], { env })
      await cluster.centaurus(['reset', '--yes'], { env })
      assert.deepEqual(await lookAtHost(), before)
      await useIt()
    } finally {
      await rm(other, { recursive: true, force: true })
    }
  })

  it('is as it was before when the cluster is down', async () => {
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    assert.deepEqual(await lookAtHost(), untouched)
    assert.deepEqual(mountsUnder(join(cluster.home, 'network')), [])
    await cluster.up()
    await useIt()
  })

  it('becomes a bridge when asked, stays one, and says how to change that', async () => {
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    assert.match(await cluster.up('--network', 'bridge'), /on the bridge network.*up --network centaurus/s)
    await useIt()
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    await forgetNetwork() // as those have it who made their cluster when there was only the bridge
    assert.match(await cluster.up(), /on the bridge network/)
    assert.equal(await networkOf(), 'bridge')
    await useIt()
  })
  const forgetNetwork = async (): Promise<void> => {
    const file = join(cluster.home, 'settings.json')
    const { network, ...others } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
    assert.equal(network, 'bridge')
    await writeFile(file, JSON.stringify(others))
  }

  it('becomes our own again, and keeps nothing of the bridge', async () => {
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    await cluster.up('--network', 'centaurus')
    await useIt()
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    const { devices, rules } = await lookAtHost()
    assert.equal(devices, untouched.devices)
    assert.doesNotMatch(rules, /centaurus/) // empty chains of the plugin portmap stay
  })
})
