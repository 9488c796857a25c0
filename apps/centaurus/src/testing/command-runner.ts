/**
 * Runs commands one after the other in this process, where one takes milliseconds: `node command-runner.ts`, with a JSON array of {@link ToRun} at standard
 * input. Prints what each said as an array of {@link Ran}.
 */
import { writeSync } from 'node:fs'
import { json } from 'node:stream/consumers'
import type { Command } from 'commander'
import { describeFailure } from '../failure.ts'
import { createProgram } from '../program.ts'
import type { Ran, ToRun } from './run-cli.ts'

async function run({ home, args }: ToRun): Promise<Ran> {
  let out = ''
  const write = (text: string | Uint8Array): boolean => {
    out += String(text)
    return true
  }
  process.stdout.write = write
  process.env['CENTAURUS_HOME'] = home
  process.exitCode = undefined
  try {
    await withoutExit(createProgram(), write).parseAsync(['node', 'centaurus', ...args])
    return { home, args, out }
  } catch (error) {
    const isUsage = String((error as { code?: unknown }).code).startsWith('commander.')
    return { home, args, out, failure: isUsage ? out : describeFailure(error, { debug: false }) }
  }
}

function withoutExit(command: Command, write: (text: string) => void): Command {
  command.exitOverride().configureOutput({ writeOut: write, writeErr: write })
  for (const each of command.commands) withoutExit(each, write)
  return command
}

const all: Ran[] = []
for (const each of (await json(process.stdin)) as ToRun[]) all.push(await run(each))
writeSync(1, JSON.stringify(all))
process.exit(0)
