/** `npm run soak -- store --rounds N`: kills the embedded store's process again and again, and checks what is left. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCrashRounds } from '@centaurus/store/testing'

const ROUNDS_DEFAULT = 100
const USAGE = `Usage: npm run soak -- store [--rounds N] [--seed N]

Writes under load, kills the writer with SIGKILL, opens the store and checks it: N rounds (default ${ROUNDS_DEFAULT}).
A failure prints the seed and keeps the directory.
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = { rounds: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options })
  if (values.help === true) return print(USAGE)
  const rounds = Number(values.rounds ?? ROUNDS_DEFAULT)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  if (positionals[0] !== 'store' || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
    process.stderr.write(USAGE)
    return 2
  }
  return soakStore(rounds, seed)
}

async function soakStore(rounds: number, seed: number): Promise<number> {
  const path = mkdtempSync(join(tmpdir(), 'centaurus-soak-'))
  print(`${rounds} rounds with seed ${seed} in ${path}\n`)
  try {
    await runCrashRounds({
      path,
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

function print(text: string): number {
  process.stdout.write(text)
  return 0
}
