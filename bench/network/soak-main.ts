/** One round of `npm run soak -- network-fuzz` or `network-churn`, inside of namespaces: says what it saw, or throws. */
import { fuzzFrames, fuzzProgram, FUZZERS, type FuzzerName, runChurnRound } from '@centaurus/network/testing'
import { isolateHost } from '@centaurus/node/testing'

const FRAMES_USER = 1_000_000
const FRAMES_KERNEL = 100_000
const STEPS = 150

const [what, seedText] = process.argv.slice(2)
const seed = Number(seedText)
process.stdout.write(what === 'fuzz' ? await fuzz() : await churn())

async function fuzz(): Promise<string> {
  const names = Object.keys(FUZZERS) as FuzzerName[]
  let tried = 0
  for (const name of names) tried += await fuzzProgram(name, { frames: FRAMES_USER, seed })
  const passed = await fuzzFrames({ seed, frames: FRAMES_KERNEL })
  return `${tried} frames in user space, ${FRAMES_KERNEL} in the kernel, of which ${passed} passed`
}

async function churn(): Promise<string> {
  isolateHost()
  const attach = seed % 2 === 0 ? 'tcx' : 'xdp'
  const faults = await runChurnRound({ seed, attach, steps: STEPS })
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return `${STEPS} changes under traffic, ${attach}`
}
