/** `npm run soak -- NAME --rounds N`: breaks a part again and again, from a seed, and checks what is left. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { prepareChaosPlane } from 'centaurus/chaos'
import { runChaosRound } from '@centaurus/simulation/chaos'
import { runCrashRounds, runEtcdFaultRounds } from '@centaurus/store/testing'
import { runPartitionRound } from '../conformance/lib/partition-soak.ts'

const ROUNDS_DEFAULT = 100
const OUTAGE_SECONDS_DEFAULT = 20
const OUTPUT_BYTES_MAX = 16 * 2 ** 20
const USAGE = `Usage: npm run soak -- store|etcd|cluster|partitions|network-fuzz|network-churn [--rounds N] [--seed N] [--outage SECONDS]

  store     writes under load, kills the writer with SIGKILL, opens the store and checks it.
            A failure prints the seed and keeps the directory.
  etcd      writes under load to three members; members are killed and frozen, connections are cut,
            requests and answers are lost; then compares what is stored with what was acknowledged.
  cluster   whole clusters in simulated time: users write, parts are killed, cut off and slowed down,
            then everything is repaired and checked. Round after round with the next seed;
            a failure prints its seed and the last actions, and the rounds go on.
  partitions  a real cluster of four partitions, three members of etcd and two gateways, each on a host of its own
            (a network namespace: needs root), used by clients all the time. Machines are killed, frozen, cut off
            (one way alone as well), slowed down and filled up. A failure prints its seed and keeps the logs.
  network-fuzz   the programs of pod networks on mutated frames, in user space with every check of the compiler, and in the
            kernel: a million frames a round and program, each round with the next seed. Needs root and clang.
  network-churn  pods, identities and policies come and go on two hosts, daemons restart, flows go on all the while; a model
            says who reaches whom. Needs root.

  --rounds N   default ${ROUNDS_DEFAULT}
  --seed N     of the first round; default: from the clock
  --outage N   partitions: how long something stays broken, at most; default ${OUTAGE_SECONDS_DEFAULT} s
`

type Soak = (rounds: number, seed: number, options: { readonly outageMs: number }) => Promise<number>

const SOAKS: Readonly<Record<string, Soak>> = {
  store: soakStore,
  etcd: soakEtcd,
  cluster: soakCluster,
  partitions: soakPartitions,
  'network-fuzz': (rounds, seed) => soakNetwork('fuzz', { rounds, seed }),
  'network-churn': (rounds, seed) => soakNetwork('churn', { rounds, seed }),
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = {
    rounds: { type: 'string' },
    seed: { type: 'string' },
    outage: { type: 'string' },
    help: { type: 'boolean' },
  } as const
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options })
  if (values.help === true) return print(USAGE)
  const rounds = Number(values.rounds ?? ROUNDS_DEFAULT)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const outageMs = Number(values.outage ?? OUTAGE_SECONDS_DEFAULT) * 1000
  const soak = SOAKS[positionals[0] ?? '']
  if (soak === undefined || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || !(outageMs > 0)) {
    process.stderr.write(USAGE)
    return 2
  }
  return soak(rounds, seed, { outageMs })
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
  return soakSeeds(rounds, seed, async (own) => {
    const { nodes, acknowledged, revision, durationMs } = await runChaosRound({ seed: own, startPlane })
    return `${nodes} nodes, ${acknowledged} user writes, ${revision} revisions, ${Math.round(durationMs / 1000)} s simulated`
  })
}

async function soakPartitions(
  rounds: number,
  seed: number,
  { outageMs }: { readonly outageMs: number },
): Promise<number> {
  return soakSeeds(rounds, seed, (own) =>
    runPartitionRound({ seed: own, outageMs, report: (line) => void print(`  ${line}\n`) }),
  )
}

/** In namespaces of its own, which end with it. */
async function soakNetwork(what: 'fuzz' | 'churn', options: { rounds: number; seed: number }): Promise<number> {
  const main = fileURLToPath(new URL('network/soak-main.ts', import.meta.url))
  const run = (seed: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const command = ['--mount', '--net', '--propagation', 'private', process.execPath, main, what, String(seed)]
      execFile('unshare', command, { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) =>
        error === null ? resolve(stdout.trim()) : reject(new Error(stderr)),
      )
    })
  return soakSeeds(options.rounds, options.seed, run)
}

/** Each round with the next seed. A round that fails is told, and the rounds go on. */
async function soakSeeds(rounds: number, seed: number, runRound: (seed: number) => Promise<string>): Promise<number> {
  const failed: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now()
    try {
      const seen = await runRound(seed + round)
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      print(`round ${round + 1} of ${rounds}: seed ${seed + round}, ${seen}, in ${seconds} s\n`)
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
