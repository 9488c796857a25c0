import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { type AttachMode, TestCluster, type TestHost } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import {
  createOtherVersion,
  OTHER_ENDPOINT,
  OTHER_FLOWS,
  type Edit,
  type OtherVersion,
} from '../testing/other-version.ts'
import { CLIENT_IDENTITY, policyOf, SERVER_IDENTITY, type TakeOverOrders } from '../testing/take-over.ts'
import { findTrafficFaults, type Flow, startTraffic } from '../testing/traffic.ts'

const run = promisify(execFile)
const SERVICE = '10.96.0.10'
const FIRST_SERVICE_PORT = 7050
/** More than a takeover has steps. */
const STEPS_MAX = 30
const LOSES_NOTHING = 'takes over and gives back all hosts, without one packet of a flow lost'
const SURVIVES = 'goes on or begins again when it was killed at any step, without one packet of a flow lost'
/** Where programs are attached matters at few steps: with XDP every fifth one is enough. */
const STRIDES: Readonly<Record<AttachMode, number>> = { tcx: 1, xdp: 5 }

interface Version {
  readonly testing: string
  readonly programs: string
}

/** Two hosts, and another version of what runs on them. */
class Upgrade {
  readonly cluster: TestCluster
  readonly other: OtherVersion
  readonly own: Version
  readonly attach: AttachMode

  private constructor(cluster: TestCluster, { other, attach }: { other: OtherVersion; attach: AttachMode }) {
    this.attach = attach
    this.cluster = cluster
    this.other = other
    this.own = { testing: join(import.meta.dirname, '../testing'), programs: cluster.programs }
    for (const [name, host, identity] of [
      ['client', 1, CLIENT_IDENTITY],
      ['near', 1, SERVER_IDENTITY],
      ['far', 2, SERVER_IDENTITY],
    ] as const)
      cluster.addPod({ name, host, identity, policySet: policyOf(identity) })
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) =>
        assert.deepEqual(dataplane.applyServices({ frontends: this.#frontends(host) }), []),
      )
  }

  static async create(edits: readonly Edit[], attach: AttachMode): Promise<Upgrade> {
    const cluster = await TestCluster.create({ hosts: 2, attach })
    const other = await createOtherVersion(edits, join(tmpdir(), 'centaurus-test-programs'))
    return new Upgrade(cluster, { other, attach })
  }

  close(): void {
    this.other.remove()
    this.cluster.close()
  }

  /** From the first port on, and through the service from 50 further on. Each run has its own: the last one's are not free at once. */
  flows(first: number): Flow[] {
    const { cluster } = this
    return [first, first + 1, first + 50, first + 51].flatMap((port) =>
      (['TCP', 'UDP'] as const).map((protocol): Flow => {
        const server = serverOf(port)
        const ip = port >= FIRST_SERVICE_PORT ? SERVICE : cluster.pod(server).endpoint.ip
        const at = { client: cluster.namespaceName('client'), server: cluster.namespaceName(server), ip, port }
        return { ...at, protocol, expected: 'lossless', name: `client → ${server} ${ip}:${port} ${protocol}` }
      }),
    )
  }

  #frontends(host: TestHost): ServiceFrontend[] {
    return [0, 1, 10, 11].flatMap((more) =>
      (['TCP', 'UDP'] as const).map((protocol) => {
        const port = FIRST_SERVICE_PORT + more
        const { endpoint, host: home } = this.cluster.pod(serverOf(port))
        const backends = [{ ip: endpoint.ip, port, isLocal: home === host }]
        return { ...BARE, port, protocol, backends, name: `default/web:${protocol}-${port}` }
      }),
    )
  }

  /** A daemon of that version begins on the host. Returns its steps; the last one is the one at which it was killed. */
  async takeOver(version: Version, host: TestHost, killAt?: number): Promise<string[]> {
    const { plan, namespace } = host
    const orders: TakeOverOrders = {
      dataplane: { ...this.cluster.optionsOf(plan, namespace), programs: version.programs },
      frontends: this.#frontends(host),
      ...(killAt === undefined ? {} : { killAt }),
    }
    const program = [process.execPath, join(version.testing, 'take-over.ts'), JSON.stringify(orders)]
    const command = ['nsenter', [`--net=/run/netns/${plan.name}`, ...program]] as const
    const { stdout } = await run(...command).catch((error: { stdout: string; stderr: string }) => {
      if (error.stderr !== '') throw error
      return error
    })
    return stdout.split('\n').slice(0, -1)
  }

  versionsOf(host: TestHost): string[] {
    return readdirSync(this.#pinsOf(host))
  }

  /** Whether the one version there has its XDP program on a device. */
  hasXdp(host: TestHost): boolean {
    const links = this.versionsOf(host).flatMap((version) => readdirSync(join(this.#pinsOf(host), version, 'links')))
    return links.some((link) => link.startsWith('from_uplink_xdp@'))
  }

  #pinsOf({ plan, namespace }: TestHost): string {
    return join(this.cluster.optionsOf(plan, namespace).bpffs, 'centaurus')
  }
}

const serverOf = (port: number): 'near' | 'far' => (port % 2 === 0 ? 'near' : 'far')

/** Returns how to get it, in a test. */
function prepare(edits: readonly Edit[], attach: AttachMode): () => Upgrade {
  let upgrade: Upgrade
  before(async () => {
    upgrade = await Upgrade.create(edits, attach)
  })
  after(() => upgrade?.close())
  return () => upgrade
}

async function testTakeOver(prepared: () => Upgrade): Promise<void> {
  const upgrade = prepared()
  const traffic = await startTraffic(upgrade.flows(7000))
  for (const version of [upgrade.other, upgrade.own])
    for (const host of upgrade.cluster.hosts) {
      assert.equal((await upgrade.takeOver(version, host)).at(-1), 'Done')
      assert.equal(upgrade.versionsOf(host).length, 1)
      assert.equal(upgrade.hasXdp(host), upgrade.attach === 'xdp')
    }
  assert.deepEqual(findTrafficFaults(await traffic.stop()), [])
}

async function testKills(prepared: () => Upgrade): Promise<void> {
  const upgrade = prepared()
  const traffic = await startTraffic(upgrade.flows(7010))
  const host = upgrade.cluster.host(1)
  const killed = new Set<string>()
  let [now, next]: [Version, Version] = [upgrade.own, upgrade.other]
  const stride = STRIDES[upgrade.attach]
  let round = 0
  for (let step = 1; step <= STEPS_MAX && !killed.has('Done'); step += stride) {
    const steps = await upgrade.takeOver(next, host, step)
    if (steps.at(-1) !== 'Done') assert.equal(steps.length, step)
    killed.add(steps.at(-1)!)
    round++
    // the same version comes again, or the one before
    if (round % 2 === 0) [now, next] = [next, now]
    assert.equal((await upgrade.takeOver(now, host)).at(-1), 'Done')
    assert.equal(upgrade.versionsOf(host).length, 1)
  }
  assert.deepEqual(findTrafficFaults(await traffic.stop()), [])
  assert.ok(killed.size > 3)
  if (stride > 1) return
  for (const step of ['Copied the tables', 'Planned everything', 'Replaces the programs', 'Done'])
    assert.ok(killed.has(step), step)
}

const BARE: Omit<ServiceFrontend, 'port' | 'protocol' | 'backends' | 'name'> = {
  vni: 1,
  ip: SERVICE,
  scope: 'cluster',
  whenEmpty: 'refuse',
  externalBackends: [],
  whenExternalEmpty: 'drop',
  draining: [],
  keepsSource: false,
  sourceRanges: undefined,
  affinitySeconds: 0,
}

describeHosts({ title: 'another version of the tables', file: import.meta.url }, (attach) => {
  // which records are others is the same to both
  if (attach === 'tcx')
    describe('with flows of the same records', () => {
      const upgrade = prepare(OTHER_ENDPOINT, attach)
      it(LOSES_NOTHING, () => testTakeOver(upgrade))
    })
  describe('with other flows', () => {
    const upgrade = prepare(OTHER_FLOWS, attach)
    it(LOSES_NOTHING, () => testTakeOver(upgrade))
    it(SURVIVES, () => testKills(upgrade))
  })
})
