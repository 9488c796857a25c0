import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ScaleReport } from '@centaurus/simulation/scale'
import { ROOT } from './lib/cluster.ts'
import { run, type Finished } from './lib/processes.ts'

/** Figures are not judged here: what else the machine does decides them. */
describe('centaurus simulate', () => {
  let dir: string
  let finished: Finished
  let report: ScaleReport

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-scale-test-'))
    const flags =
      `--nodes 100 --pods 500 --deployment-replicas 40 --latency-pods 20 --latency-seconds 3 --churn 40 --churn-seconds 3 ` +
      `--idle-seconds 2 --lease-ms 2000 --pod-start-ms 50 --failed-nodes 0 --down-ms 500 --seed 7 --work-dir ${dir} --report ${dir}/report`
    finished = await run([join(ROOT, 'centaurus'), 'simulate', ...flags.split(' ')])
    assert.ok(existsSync(join(dir, 'report', 'report.json')), `${finished.stdout}\n${finished.stderr}`)
    report = JSON.parse(await readFile(join(dir, 'report', 'report.json'), 'utf8')) as ScaleReport
  })
  after(() => rm(dir, { recursive: true, force: true }))

  it('runs every pod, loses none across a crash, and fills no node beyond its room', () => {
    assert.equal(finished.code, 0, finished.stdout)
    const { check } = report
    assert.deepEqual(
      [check.overcommit, check.lostPods, check.surplusPods, check.strayPods],
      [0, 0, 0, 0],
      check.examples.join('\n'),
    )
    assert.deepEqual([check.duplicates, check.notRunning, check.doubleRuns], [0, 0, 0], check.examples.join('\n'))
    assert.deepEqual(
      [check.claims, check.unclaimedPods, check.staleClaims, check.overclaimedNodes],
      [check.boundPods, 0, 0, 0],
    )
    assert.equal(report.nodes, 100)
    assert.ok(report.pods >= 160, `${report.pods} pods: the DaemonSet's and the timed ones at least`)
    assert.deepEqual(report.problems, [])
  })

  it('measures what it says', () => {
    assert.equal(report.podStartup.count, 60)
    assert.ok(report.podStartup.p50 > 0.02, 'a pod takes its simulated start at least')
    const counts = (rows: ScaleReport['apiLatency']) =>
      new Map(rows.map(({ verb, resource, count }) => [`${verb} ${resource}`, count]))
    const atSaturation = counts(report.apiLatencySaturation)
    assert.ok((atSaturation.get('PATCH pods/status') ?? 0) >= 500)
    assert.ok((atSaturation.get('POST events') ?? 0) >= 3 * 500)
    const afterwards = counts(report.apiLatency)
    assert.equal(afterwards.get('POST pods'), 60)
    assert.ok((afterwards.get('PUT leases') ?? 0) > 100)
    assert.ok(report.flushesPerLease > 0 && report.flushesPerLease < 2, String(report.flushesPerLease))
    assert.ok(report.messagesPerPod > 3 && report.messagesPerPod < 50, String(report.messagesPerPod))
    assert.ok(report.memory.processes.every(({ cpuSeconds }) => cpuSeconds > 0))
  })

  it('leaves nothing but its report', async () => {
    assert.deepEqual(await readdir(dir), ['report'])
    const page = await readFile(join(dir, 'report', 'report.html'), 'utf8')
    assert.match(page, /<svg/)
    assert.doesNotMatch(page, /src=|href=/, 'it needs no other file')
  })
})
