import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { execute } from '../cases/container.ts'
import { Pod } from '../cases/pod.ts'
import { buildGuests } from '../cases/run-cases.ts'
import { parseTranscript } from '../cases/transcript.ts'
import { startCanaries, type Canaries } from './canaries.ts'

const ATTACKS_MS = 120_000
const COMMAND_MS = 20_000
const MEMORY_BYTES = 64 * 1024 * 1024
/** Rounds of random calls in the suite; `FUZZ_ROUNDS` has more of them, `FUZZ_SEED` others. */
const FUZZ_ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 150)
const FUZZ_SEED = Number(process.env['FUZZ_SEED'] ?? 1)
const FUZZ_ROUND_MS = 500

/** What one container of a pod can do to another one, and a pod's kernel to the host. */
describe('attacks inside a pod', () => {
  const secret = randomBytes(16).toString('hex')
  let guests: string
  let quark: string
  let canaries: Canaries
  let pod: Pod

  before(async () => {
    const cargo = await findCargo()
    assert(cargo.path !== undefined, cargo.path === undefined ? cargo.why : '')
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    guests = process.env['GUESTS_BINARY'] ?? (await buildGuests({ cargo: cargo.path, report }))
    quark = process.env['QUARK_BINARY'] ?? (await buildQuark({ outDir: quarkFolder(), cargo, report }))
    canaries = await startCanaries()
    pod = new Pod({ runtime: quark, guests, volumes: canaries.volumes })
    await pod.start('keeper', ['keep', secret])
  })
  after(async () => {
    await pod.stop()
    canaries.stop()
  })

  const keeperIsWell = async (): Promise<void> => {
    const { status, output } = await pod.exec('keeper', ['helper', 'exit', '7'], COMMAND_MS)
    assert.equal(status, 7, output)
    assert.equal(pod.output('keeper').trim(), 'keeper: ready')
    assert(!pod.log().includes('has a bug'), pod.log())
  }

  it('of one container on another get nothing', async () => {
    const names = ['neighbours_files', 'neighbours_processes', 'neighbours_memory', 'exhausted_kernel']
    const stubs = ['kept_descriptors', 'stub_calls', 'unknown_clones', 'scribbled_pages']
    const [, , pid = '', socket = ''] = canaries.args
    const args = ['attack', '/secret', secret, pid, socket, ...names, ...stubs]
    const output = await pod.runToEnd('neighbour', args, ATTACKS_MS)
    assert.deepEqual(
      output.split('\n').filter((line) => line.includes('BREACH')),
      [],
    )
    const { results } = parseTranscript(output)
    const bad = [...results].filter(([, { ending }]) => ending !== 'exited 0')
    assert.deepEqual([results.size, bad], [names.length + stubs.length, []])
    await keeperIsWell()
  })

  it('that take more than a container may have end in that container', async () => {
    const resources = { memory: { limit: MEMORY_BYTES, swap: MEMORY_BYTES }, pids: { limit: 100 } }
    const args = ['attack', ...canaries.args, 'beyond_limits']
    const output = await pod.runToEnd('greedy', args, ATTACKS_MS, resources)
    assert(output.includes('limited: true') && output.includes('-- exited 0') && !output.includes('BREACH'), output)
    await keeperIsWell()
  })

  it('by random calls leave the other container answering, and the one that made them can be killed', async () => {
    const limit = FUZZ_ROUNDS * FUZZ_ROUND_MS + COMMAND_MS
    const output = await pod.runToEnd('fuzzer', ['fuzz', String(FUZZ_SEED), String(FUZZ_ROUNDS)], limit)
    assert(output.includes(`fuzzed ${FUZZ_ROUNDS}`) && !output.includes('BREACH'), output.slice(-2_000))
    await keeperIsWell()
    assert.equal(await pod.remove('fuzzer'), 0)
    await keeperIsWell()
  })

  for (const hostNetwork of [false, true])
    it(`of a kernel that is taken over, on ${hostNetwork ? "the host's" : 'its own'} network, reach nothing`, async () => {
      const other = new Pod({ runtime: quark, guests, volumes: canaries.volumes }, hostNetwork)
      try {
        await other.start('first', ['keep', 'nothing'])
        await other.start('second', ['keep', 'nothing'])
        const [path = '', hostSecret = '', pid = ''] = canaries.args
        const standIn = await other.pid('second')
        const others = [pid, String(process.pid), String(standIn), String(await pod.pid('keeper'))]
        const args = ['takeover', String(await other.pid('first')), path, hostSecret, ...others]
        const { output, status } = await execute(guests, args, COMMAND_MS)
        assert.equal(status, 0, output)
        assert.deepEqual(
          output.split('\n').filter((line) => line.includes('BREACH')),
          [],
        )
        assert.match(output, /write to the read-only \d+/)
        assert.equal((await other.exec('second', ['helper', 'exit', '3'], COMMAND_MS)).status, 3)
        assert.deepEqual(canaries.check(), [])
      } finally {
        await other.stop()
      }
    })
})
