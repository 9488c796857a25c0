import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isInNamespaces, runInNamespaces } from '@centaurus/node/testing'
import { generateWorld, listTraffic } from '../testing/policy-generator.ts'
import { askOracle, type OracleWorld, type Traffic } from '../testing/policy-oracle.ts'
import { ProgramWorld, type ProgramPath } from '../testing/policy-programs.ts'
import { describeCell } from '../testing/policy-shrink.ts'
import { openTestDataplane, type TestDataplane } from '../testing/test-dataplane.ts'
import { compilePolicySet } from './local-sets.ts'
import { PolicyWorld } from './policy-world.ts'
import { RuleBook } from './rule-book.ts'

const WORLDS = Number(process.env['POLICY_WORLDS'] ?? 24)
const FIRST_SEED = Number(process.env['POLICY_SEED'] ?? 1)
/** Networks of their own, so that no flow of one world is known in another. */
const FIRST_VNI = 1000

interface Tally {
  readonly paths: Record<ProgramPath, number>
  denied: number
}

/** Compares every cell of a world with the interpreter, by reason and rule, and with the oracle where this host has the last word. */
function compareWorld(dataplane: TestDataplane, seed: number, tally: Tally): void {
  const world = generateWorld(seed)
  const programs = new ProgramWorld(dataplane, world, { vni: FIRST_VNI + seed, remoteBlock: seed % 3 })
  for (const [number, traffic] of listTraffic(world).entries()) {
    for (const [i, path] of programs.pathsOf(traffic).entries()) {
      // The second path must not find the flow of the first.
      compareCell(programs, { world, traffic, path, seed, number: number * 2 + i })
      tally.paths[path]++
      if (programs.expect(path, traffic).reason !== 'None') tally.denied++
    }
  }
  programs.close()
}

interface Cell {
  readonly world: OracleWorld
  readonly traffic: Traffic
  readonly path: ProgramPath
  readonly seed: number
  readonly number: number
}

function compareCell(programs: ProgramWorld, { world, traffic, path, seed, number }: Cell): void {
  const expected = programs.expect(path, traffic)
  const said = programs.run(path, traffic, number)
  const context = (): string => `POLICY_SEED=${seed} ${path}: ${describeCell(world, traffic)}`
  if (said.reason !== expected.reason || said.rule !== expected.rule) {
    assert.fail(`program says ${said.reason} by ${said.rule}, not ${expected.reason} by ${expected.rule}; ${context()}`)
  }
  const passes = said.verdict === 'redirect' && said.target === programs.targetOf(traffic)
  if (passes !== (expected.reason === 'None')) assert.fail(`${said.verdict} to ${said.target}; ${context()}`)
  const { egress, ingress } = askOracle(world, traffic)
  const isOurs = path !== 'from_pod' || !('pod' in traffic.destination) || programs.isLocal(traffic.destination.pod)
  const isAllowed = (egress?.allowed ?? true) && (ingress?.allowed ?? true)
  if (isOurs ? passes !== isAllowed : isAllowed && !passes)
    assert.fail(`oracle ${isAllowed}, program ${passes}; ${context()}`)
}

if (!isInNamespaces()) {
  describe('policies in the programs', () => {
    it('pass in namespaces of their own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('policies in the programs', () => {
    it('decide every cell as the specifications say, on the same host, from other hosts, from the world and to it', async (t) => {
      const dataplane = await openTestDataplane()
      const tally: Tally = { paths: { from_pod: 0, from_host: 0, from_uplink: 0, from_uplink_xdp: 0 }, denied: 0 }
      try {
        for (let seed = FIRST_SEED; seed < FIRST_SEED + WORLDS; seed++) compareWorld(dataplane, seed, tally)
      } finally {
        dataplane.close()
      }
      const cells = Object.values(tally.paths).reduce((sum, count) => sum + count)
      t.diagnostic(`${cells} cells, ${tally.denied} denied: ${JSON.stringify(tally.paths)}`)
      assert.ok(WORLDS < 24 || cells >= 100_000, `${cells} cells`)
      assert.ok(tally.denied > cells / 6 && tally.denied < cells * 0.8)
    })

    it('never take a set of which peers were changed for what its key says', async () => {
      const { tables, close } = await openTestDataplane()
      const world = new PolicyWorld({ tenant: 'test', rules: new RuleBook() })
      const set = compilePolicySet({ namespace: 'x', labels: {}, ip: '10.244.1.2', namedPorts: [] }, world)
      const first = tables.addPolicySet(set)
      assert.equal(tables.addPolicySet(set), first)
      const denied = set.ingress.others.map((segment) => ({ ...segment, allow: false }))
      tables.extendPolicySet(first, { ingress: new Map(), egressOfPeers: new Map([[256, denied]]) })
      const second = tables.addPolicySet(set)
      assert.notEqual(second, first)
      tables.removePolicySet(first)
      assert.equal(tables.addPolicySet(set), second)
      close()
    })
  })
}
