import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildQuark, findCargo, quarkFolder } from '@centaurus/sandbox'
import { memoryOf, withPod, type Pod } from './hibernate.ts'
import { treeOf } from './memory.ts'
import { ask, openNetwork, SERVERS, type Network, type Server } from './servers.ts'

const CYCLES = 25
/** Of random choices; `SEED` names another. */
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const PATIENCE_MS = 20_000

describe('servers that sleep', () => {
  let quark: string
  let network: Network
  let directory: string

  before(async () => {
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    quark =
      process.env['QUARK_BINARY'] ?? (await buildQuark({ outDir: quarkFolder(), cargo: await findCargo(), report }))
    network = openNetwork()
    directory = mkdtempSync(join(tmpdir(), 'hibernate-'))
  })

  after(() => {
    network.close()
    rmSync(directory, { recursive: true, force: true })
  })

  for (const server of SERVERS) {
    const skip = !existsSync(server.args[0]!) && `not installed: ${server.package}`
    it(`answer as if they never had: ${server.name}`, { skip }, () => {
      const runtime = { name: 'quark', command: quark, flags: [] } as const
      return withPod({ directory, quark: runtime, server, network }, (pod) => sleepAndAnswer(pod, randomOf(SEED)))
    })
  }
})

async function sleepAndAnswer(pod: Pod, random: (below: number) => number): Promise<void> {
  const { server, address, pid } = pod
  const request = [server.request, server.answer] as const
  const timers = hold(server)
  const awake = memoryOf(pod).others
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const told = `cycle ${cycle}, SEED=${SEED}`
    // What it had to do yet, such as to see that a connection was closed, may have woken it.
    const asleep = async (): Promise<boolean> => {
      await pod.quark('hibernate', ...timers, 'pod')
      return treeOf(pid).length === 2 && memoryOf(pod).others < awake / 10
    }
    await until(asleep, `only the first stub is left: ${told}`)
    await sleep(random(3) * 10)
    switch (random(4)) {
      case 0:
        await pod.quark('wake', 'pod')
        break
      case 1:
        await pod.quark('exec', 'pod', '/bin/true')
        break
      case 2:
        await Promise.all(Array.from({ length: 2 + random(6) }, () => ask(address, request)))
        break
      default: // the first to come
    }
    await ask(address, request)
  }
}

function hold({ ticks }: Server): readonly string[] {
  return ticks === true ? ['--timers', 'hold'] : []
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`)
    await sleep(2)
  }
}

/** Numbers that look random, the same for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % below
  }
}
