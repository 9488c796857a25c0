/**
 * A training program as torchrun would run it, for tests: workers meet, make steps together as long as none comes or goes, and meet again. What a step takes shrinks
 * with their number. It ends after as many steps as the file STEPS_FILE says, once that exists. Its first rank prints each step; lines of all are one log.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Rendezvous, type AgentMessage, type WorldMessage } from './rendezvous.ts'

const LAST_CALL_MS = 30
const RECONNECT_MS = 30
const CONNECTS_MAX = 1_000
const CHECKPOINT_EVERY_STEPS = 20
/** What a step takes: a part that shrinks with the number of workers, and one that does not. */
const SHARED_MS = 12
const FIXED_MS = 2

const { env } = process
const [host = '', port = ''] = env['PET_RDZV_ENDPOINT']!.split(':')
const [min = 1, max = min] = env['PET_NNODES']!.split(':').map(Number)
const index = Number(/-worker-(\d+)$/.exec(env['HOSTNAME']!)![1])
const checkpoints = env['CHECKPOINT_DIR']!
const stepsFile = env['STEPS_FILE']!

mkdirSync(checkpoints, { recursive: true })
let step = Math.max(0, ...readdirSync(checkpoints).map(Number))
let world: Extract<WorldMessage, { type: 'world' }> | undefined

process.on('SIGTERM', () => {
  save()
  process.exit(0)
})
if (env['PET_RDZV_CONF'] === 'is_host=true')
  await new Rendezvous({ min, max, lastCallMs: LAST_CALL_MS }).listen(Number(port), host)
const socket = await meetingPlace()
// As torchrun: without the place where it meets others a worker can't go on.
socket.once('close', () => process.exit(1))
createInterface({ input: socket })
  .on('line', (line) => hear(JSON.parse(line) as WorldMessage))
  .on('error', () => process.exit(1))
say({ type: 'meet', index, step })

function hear(message: WorldMessage): void {
  switch (message.type) {
    case 'again':
      world = undefined
      return say({ type: 'meet', index, step })
    case 'world':
      world = message
      step = message.step
      return void makeStep()
    case 'next':
      return endStep(message.isLast)
  }
}

async function makeStep(): Promise<void> {
  const { round, size } = world!
  await sleep(stepMs(size))
  if (world?.round !== round) return
  say({ type: 'done', round, isLast: step + 1 >= stepsWanted() })
}

function endStep(isLast: boolean): void {
  const { rank, size } = world!
  step++
  if (rank === 0) {
    const report = { step, workers: size, secondsPerStep: stepMs(size) / 1_000, batch: 64 }
    // Not buffered: what is printed has been done, also when it is killed.
    writeSync(1, `${JSON.stringify(report)}\n`)
    if (isLast || step % CHECKPOINT_EVERY_STEPS === 0) save()
  }
  if (isLast) process.exit(0)
  void makeStep()
}

function stepMs(size: number): number {
  return FIXED_MS + SHARED_MS / size
}

function stepsWanted(): number {
  return existsSync(stepsFile) ? Number(readFileSync(stepsFile, 'utf8')) : Infinity
}

/** Several may save at once, each what it has: a file for each step, of which the last counts. */
function save(): void {
  writeFileSync(join(checkpoints, String(step)), '')
}

function say(message: AgentMessage): void {
  socket.write(`${JSON.stringify(message)}\n`)
}

async function meetingPlace(): Promise<Socket> {
  for (let tries = 1; ; tries++) {
    const attempt = connect(Number(port), host)
    const isOpen = await new Promise<boolean>((resolve) => {
      attempt.once('connect', () => resolve(true))
      attempt.once('error', () => resolve(false))
    })
    if (isOpen) return attempt
    if (tries === CONNECTS_MAX) throw new Error(`Could not meet others at ${host}:${port}`)
    await sleep(RECONNECT_MS)
  }
}
