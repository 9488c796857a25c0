import type { GuestCommand } from './guest-scripts.ts'

const KEPT = ['PATH', 'HOME', 'USER', 'LANG', 'TERM']

/** A command as this process would start it: here, with the variables that every program looks for. */
export function commandHere(args: readonly string[]): GuestCommand {
  const env = Object.fromEntries(
    KEPT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
  return { args, cwd: process.cwd(), env }
}
