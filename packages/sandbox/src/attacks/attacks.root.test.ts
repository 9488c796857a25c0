import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { buildGuests } from '../cases/run-cases.ts'
import { runContainer, type ContainerRun } from '../cases/container.ts'
import { parseTranscript } from '../cases/transcript.ts'
import { startCanaries, type Canaries } from './canaries.ts'

const ALL_MS = 240_000
const ATTACKS_MIN = 45

/**
 * Attacks that are known from other runtimes, on canaries. Of these, runc with the same configuration opens AF_PACKET, AF_VSOCK, AF_XDP and raw sockets,
 * MPTCP and ten families of netlink (nf_tables among them), and reads /proc/kallsyms, iomem, keys, timer_list and the kernel's notes.
 */
describe('attacks from a container', () => {
  let guests: string
  let quark: string
  let canaries: Canaries
  let run: ContainerRun
  let hash: string

  before(async () => {
    const cargo = await findCargo()
    assert(cargo.path !== undefined, cargo.path === undefined ? cargo.why : '')
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    guests = process.env['GUESTS_BINARY'] ?? (await buildGuests({ cargo: cargo.path, report }))
    quark = process.env['QUARK_BINARY'] ?? (await buildQuark({ outDir: quarkFolder(), cargo, report }))
    canaries = await startCanaries()
    hash = sum(quark)
    const { args, volumes } = canaries
    run = await runContainer({ runtime: quark, guests, volumes, args: ['attack', ...args], timeoutMs: ALL_MS })
  })
  after(() => canaries.stop())

  it('reach nothing', () => {
    assert.deepEqual(
      run.output.split('\n').filter((line) => line.includes('BREACH')),
      [],
    )
  })

  it('all end, and leave the kernel answering', () => {
    const { results, unfinished } = parseTranscript(run.output)
    assert.equal(unfinished, undefined)
    assert.equal(run.status, 0, run.output.slice(-2_000))
    assert(results.size >= ATTACKS_MIN, `${results.size} attacks ran`)
    const bad = [...results].filter(([, { ending, lines }]) => ending !== 'exited 0' || lines.length === 0)
    assert.deepEqual(bad, [])
  })

  it('change nothing of the host', () => {
    assert.deepEqual(canaries.check(), [])
    assert.equal(sum(quark), hash)
  })

  it('find no descriptor of the host as a working directory', async () => {
    const { args, volumes } = canaries
    for (let fd = 3; fd < 12; fd++)
      for (const cwd of [`/proc/self/fd/${fd}`, `/proc/self/fd/${fd}/../..`]) {
        const options = { runtime: quark, guests, volumes, cwd, args: ['attack', ...args, 'working_directory'] }
        const { output } = await runContainer({ ...options, timeoutMs: 20_000 })
        assert(!output.includes('BREACH'), `${cwd}: ${output}`)
      }
  })
})

function sum(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
