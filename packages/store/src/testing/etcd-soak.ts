/** Breaks an etcd and the network to it in every way that the tests know, at random, under load. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createSeededRandom, type Random } from '@centaurus/base'
import { openEtcdStore } from '../etcd/etcd-store.ts'
import { checkLoad, startLoad, watchLoad, type Load } from './etcd-load.ts'
import { startEtcdServer, type EtcdMember } from './etcd-server.ts'
import { TcpProxy } from './tcp-proxy.ts'

const MEMBERS = 3
const WRITERS = 12
const FAULTS_A_ROUND = 30
const COMMITS_BETWEEN_MAX = 20
const FREEZE_MS_MAX = 900
const LOSS_MS_MAX = 30

export interface EtcdFaultOptions {
  readonly rounds: number
  readonly seed: number
  readonly onRound?: ((round: { readonly round: number; readonly acknowledged: number }) => void) | undefined
}

/**
 * Runs rounds of load over three members behind proxies, each with thirty faults. Throws `AssertionError` when an acknowledged commit
 * is missing or was made twice, an outcome was not found out, or a watch missed a commit or saw it twice.
 */
export async function runEtcdFaultRounds(options: EtcdFaultOptions): Promise<void> {
  const random = createSeededRandom(options.seed)
  const server = await startEtcdServer({ members: MEMBERS })
  const proxies = await Promise.all(server.endpoints.map((endpoint) => TcpProxy.open(endpoint)))
  try {
    for (let round = 0; round < options.rounds; round++) {
      const prefix = `/soak/${round}`
      const store = await openEtcdStore({ endpoints: proxies.map(({ endpoint }) => endpoint), prefix })
      const direct = await openEtcdStore({ endpoints: server.endpoints, prefix })
      const from = (await direct.currentRevision()) + 1
      const watches = [watchLoad(store, from), watchLoad(direct, from)]
      const load = startLoad(store, WRITERS)
      for (let fault = 0; fault < FAULTS_A_ROUND; fault++) {
        await load.more(1 + random.integer(COMMITS_BETWEEN_MAX))
        await breakSomething({ random, load, proxies, members: server.members })
      }
      await load.stop()
      await checkLoad(direct, load, watches)
      options.onRound?.({ round, acknowledged: load.acknowledged.size })
      await store.close()
      await direct.close()
    }
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await server.close()
  }
}

async function breakSomething(world: {
  readonly random: Random
  readonly load: Load
  readonly proxies: readonly TcpProxy[]
  readonly members: readonly EtcdMember[]
}): Promise<void> {
  const { random, load, proxies, members } = world
  const member = members[random.integer(members.length)]!
  const kind = random.integer(12)
  if (kind === 0) {
    await member.kill()
    await load.more(random.integer(COMMITS_BETWEEN_MAX))
    await member.start()
  } else if (kind === 1) {
    await member.freeze()
    await sleep(random.integer(FREEZE_MS_MAX))
    member.thaw()
  } else if (kind < 8) {
    for (const proxy of proxies) {
      if (kind < 5) proxy.losesAnswers = true
      else proxy.losesRequests = true
    }
    await sleep(random.integer(LOSS_MS_MAX))
    for (const proxy of proxies) proxy.cut()
  } else if (kind < 10) proxies[random.integer(proxies.length)]!.cut()
  else for (const proxy of proxies) proxy.cut()
}
