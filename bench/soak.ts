/** `npm run soak -- NAME --rounds N`: breaks a part again and again, from a seed, and checks what is left. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepareChaosPlane } from 'centaurus/chaos'
import { runChaosRound } from '@centaurus/simulation/chaos'
import { runCrashRounds, runEtcdFaultRounds } from '@centaurus/store/testing'

const ROUNDS_DEFAULT = 100
const USAGE = `Usage: npm run soak -- store|etcd|cluster [--rounds N] [--seed N]

  store     writes under load, kills the writer with SIGKILL, opens the store and checks it.
            A failure prints the seed and keeps the directory.
  etcd      writes under load to three members; members are killed and frozen, connections are cut,
            requests and answers are lost; then compares what is stored with what was acknowledged.
  cluster   whole clusters in simulated time: users write, parts are killed, cut off and slowed down,
            then everything is repaired and checked. Round after round with the next seed;
            a failure prints its seed and the last actions, and the rounds go on.

  --rounds N   default ${ROUNDS_DEFAULT}
  --seed N     of the first round; default: from the clock
`

type Soak = (rounds: number, seed: number) => Promise<number>

const SOAKS: Readonly<Record<string, Soak>> = { store: soakStore, etcd: soakEtcd, cluster: soakCluster }

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = { rounds: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options })
  if (values.help === true) return print(USAGE)
  const rounds = Number(values.rounds ?? ROUNDS_DEFAULT)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const soak = SOAKS[positionals[0] ?? '']
  if (soak === undefined || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
    process.stderr.write(USAGE)
    return 2
  }
  return soak(rounds, seed)
}

async function soakStore(rounds: number, seed: number): Promise<number> {
  const path = mkdtempSync(join(tmpdir(), 'centaurus-soak-'))
  print(`${rounds} rounds with seed ${seed} in ${path}\n`)
  try {
    await runCrashRounds({
      target: { engine: 'embedded', path, isTimed: true },
      rounds,
      seed,
      onRound: ({ round, acknowledged, revision }) =>
        print(
          `round ${round + 1} of ${rounds}: ${acknowledged} commits acknowledged, all there at revision ${revision}\n`,
        ),
    })
  } catch (error) {
    process.stderr.write(`Failed with seed ${seed}; the store is kept in ${path}\n`)
    throw error
  }
  rmSync(path, { recursive: true, force: true })
  return print('Nothing was lost\n')
}

async function soakEtcd(rounds: number, seed: number): Promise<number> {
  print(`${rounds} rounds with seed ${seed}\n`)
  await runEtcdFaultRounds({
    rounds,
    seed,
    onRound: ({ round, acknowledged }) =>
      print(`round ${round + 1} of ${rounds}: ${acknowledged} commits acknowledged, each made once\n`),
  })
  return print('Nothing was lost or made twice\n')
}

async function soakCluster(rounds: number, seed: number): Promise<number> {
  const startPlane = await prepareChaosPlane()
  const failed: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now()
    try {
      const report = await runChaosRound({ seed: seed + round, startPlane })
      const { nodes, acknowledged, revision, durationMs } = report
      print(
        `round ${round + 1} of ${rounds}: seed ${report.seed}, ${nodes} nodes, ${acknowledged} user writes, ${revision} revisions, ` +
          `${Math.round(durationMs / 1000)} s simulated in ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`,
      )
    } catch (error) {
      failed.push(seed + round)
      process.stderr.write(`round ${round + 1} of ${rounds} FAILED. ${(error as Error).message}\n`)
    }
  }
  if (failed.length === 0) return print('All went well\n')
  process.stderr.write(`${failed.length} of ${rounds} rounds failed; their seeds: ${failed.join(', ')}\n`)
  return 1
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}
