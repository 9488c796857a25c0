import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { TestCluster, type TestHost } from '../testing/cluster.ts'
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
/** More than a takeover has steps. */
const STEPS_MAX = 30

if (!isInNamespaces()) {
  describe('another version of the tables', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('another version of the tables, with flows of the same records', () => testUpgrade(OTHER_ENDPOINT))
  describe('another version of the tables, with other flows', () => testUpgrade(OTHER_FLOWS))
}

interface Version {
  readonly testing: string
  readonly programs: string
}

function testUpgrade(edits: readonly Edit[]): void {
  let cluster: TestCluster
  let other: OtherVersion
  let own: Version
  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach: 'tcx' })
    own = { testing: join(import.meta.dirname, '../testing'), programs: cluster.programs }
    other = await createOtherVersion(edits, join(tmpdir(), 'centaurus-test-programs'))
    for (const [name, host, identity] of [
      ['client', 1, CLIENT_IDENTITY],
      ['near', 1, SERVER_IDENTITY],
      ['far', 2, SERVER_IDENTITY],
    ] as const)
      cluster.addPod({ name, host, identity, policySet: policyOf(identity) })
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) => assert.deepEqual(dataplane.applyServices({ frontends: frontends(host) }), []))
  })
  after(() => {
    other?.remove()
    cluster?.close()
  })

  const serverOf = (port: number): 'near' | 'far' => (port % 2 === 0 ? 'near' : 'far')

  /** Ports from 7050 on are asked through the service. Each run has its own: the last one's are not free at once. */
  function flows(first: number): Flow[] {
    return [first, first + 1, first + 50, first + 51].flatMap((port) =>
      (['TCP', 'UDP'] as const).map((protocol): Flow => {
        const server = serverOf(port)
        const ip = port >= 7050 ? SERVICE : cluster.pod(server).endpoint.ip
        const at = { client: cluster.namespaceName('client'), server: cluster.namespaceName(server), ip, port }
        return { ...at, protocol, expected: 'lossless', name: `client → ${server} ${ip}:${port} ${protocol}` }
      }),
    )
  }

  function frontends(host: TestHost): ServiceFrontend[] {
    return [7050, 7051, 7060, 7061].flatMap((port) =>
      (['TCP', 'UDP'] as const).map((protocol) => {
        const { endpoint, host: home } = cluster.pod(serverOf(port))
        const backends = [{ ip: endpoint.ip, port, isLocal: home === host }]
        return { ...BARE, port, protocol, backends, name: `default/web:${protocol}-${port}` }
      }),
    )
  }

  /** A daemon of that version begins on the host. Returns its steps; the last one is the one at which it was killed. */
  async function takeOver(version: Version, host: TestHost, killAt?: number): Promise<string[]> {
    const { plan, namespace } = host
    const orders: TakeOverOrders = {
      dataplane: { ...cluster.optionsOf(plan, namespace), programs: version.programs },
      frontends: frontends(host),
      ...(killAt === undefined ? {} : { killAt }),
    }
    const program = [process.execPath, join(version.testing, 'take-over.ts'), JSON.stringify(orders)]
    const command = ['nsenter', [`--net=/run/netns/${plan.name}`, ...program]] as const
    const { stdout } = await run(...command).catch((error: { signal?: string; stdout: string; stderr: string }) => {
      if (error.stderr !== '') throw error
      return error
    })
    return stdout.split('\n').slice(0, -1)
  }

  const versionsOf = (host: TestHost): string[] => readdirSync(join(cluster.bpffs(host.plan.name), 'centaurus'))

  it('takes over and gives back all hosts, without one packet of a flow lost', async () => {
    const traffic = await startTraffic(flows(7000))
    for (const version of [other, own, other, own])
      for (const host of cluster.hosts) {
        assert.equal((await takeOver(version, host)).at(-1), 'Done')
        assert.equal(versionsOf(host).length, 1)
      }
    assert.deepEqual(findTrafficFaults(await traffic.stop()), [])
  })

  it('goes on or begins again when it was killed at any step, without one packet of a flow lost', async () => {
    const traffic = await startTraffic(flows(7010))
    const host = cluster.host(1)
    const killed = new Set<string>()
    let [now, next]: [Version, Version] = [own, other]
    for (let step = 1; step <= STEPS_MAX && !killed.has('Done'); step++) {
      const steps = await takeOver(next, host, step)
      assert.equal(steps.length, step)
      killed.add(steps.at(-1)!)
      // the same version comes again, or the one before
      if (step % 2 === 0) [now, next] = [next, now]
      assert.equal((await takeOver(now, host)).at(-1), 'Done')
      assert.equal(versionsOf(host).length, 1)
    }
    assert.deepEqual(findTrafficFaults(await traffic.stop()), [])
    for (const step of ['Copied the tables', 'Planned everything', 'Replaces the programs', 'Done'])
      assert.ok(killed.has(step), step)
  })
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
