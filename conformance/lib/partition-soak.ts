import { cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSeededRandom } from '@centaurus/base'
import { PARTITIONS } from './partition-hosts.ts'
import { PartitionScenario } from './partition-scenario.ts'

/** How often some things break together in a round. */
const WINDOWS_A_ROUND = 12

export interface PartitionRoundOptions {
  readonly seed: number
  /** How long something stays broken, at most. */
  readonly outageMs: number
  /** Told what was broken, as it is over. */
  readonly report: (line: string) => void
}

/**
 * One cluster of partitions on hosts of its own, with clients that use it all the time, in which one thing after the other breaks. Resolves
 * to what there was to see when all went well. Throws what was wrong, with the folder that holds the logs.
 */
export async function runPartitionRound({ seed, outageMs, report }: PartitionRoundOptions): Promise<string> {
  const scenario = await PartitionScenario.start({ label: 'soak', random: createSeededRandom(seed), outageMs })
  try {
    await scenario.breakAtRandom(WINDOWS_A_ROUND, report)
    await scenario.check()
    return scenario.load.describe()
  } catch (cause) {
    const logs = await mkdtemp(join(tmpdir(), `centaurus-soak-${seed}-`))
    for (const name of PARTITIONS)
      await cp(join(scenario.hosts.home(name), 'logs'), join(logs, name), { recursive: true })
    const seen = [scenario.load.describe(), ...scenario.load.violations].join('\n')
    throw new Error(`${(cause as Error).message}\n${seen}\nThe logs are in ${logs}`, { cause })
  } finally {
    await scenario.destroy()
  }
}
