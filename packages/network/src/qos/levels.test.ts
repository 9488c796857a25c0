import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { classOf, LEVEL_DSCP, levelOf, levelShaper, listLevels, nameOfLevel, priorityOf } from './levels.ts'

const ofPods = listLevels().slice(0, 9)
/** fq's bands by priority. Source: net/sched/sch_fq.c, fq_prio2band. */
const FQ_BANDS = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]

describe('levels', () => {
  it('go by class, then by priority', () => {
    assert.equal(levelOf({ networkClass: 'premium', priority: 'high' }), 0)
    assert.equal(levelOf({ networkClass: 'expedited', priority: 'low' }), 5)
    assert.equal(levelOf({ networkClass: 'best-effort', priority: 'medium' }), 7)
    assert.deepEqual([nameOfLevel(3), nameOfLevel(9), levelShaper(7)], ['expedited high', 'host', 8])
    assert.throws(() => nameOfLevel(10), /no level 10/)
  })

  it('have code points that no usual table serves in another order', () => {
    const tables: Readonly<Record<string, (dscp: number) => number>> = {
      'class selectors (RFC 2474)': (dscp) => dscp >> 3,
      'four aggregates (RFC 5127)': (dscp) => (dscp >= 32 ? 3 : dscp >= 10 ? 2 : dscp === 8 || dscp === 1 ? 0 : 1),
      'expedited forwarding alone': (dscp) => Number(dscp === 46),
      'the 802.1Q order of priorities, with background below best effort': (dscp) =>
        [1, 0, 2, 3, 4, 5, 6, 7][dscp >> 3]!,
    }
    for (const [name, queueOf] of Object.entries(tables)) {
      const queues = ofPods.map((level) => queueOf(LEVEL_DSCP[level]!))
      assert.ok(
        queues.every((queue, i) => i === 0 || queue <= queues[i - 1]!),
        `${name}: ${queues.join()}`,
      )
    }
  })

  it("are served in order by fq's bands, and are classes of HTB", () => {
    const bands = ofPods.map((level) => FQ_BANDS[priorityOf(level, 'edt')])
    assert.deepEqual(bands, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert.equal(priorityOf(9, 'edt'), 0)
    assert.equal(priorityOf(9, 'htb'), 0xce00000a)
    assert.deepEqual([classOf({ level: 0 }), classOf({ shaper: 16 })], [0xce000001, 0xce000110])
  })
})
