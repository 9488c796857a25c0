import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { dirname } from 'node:path'
import { configmaps, type ConfigMap } from '@centaurus/api/core/v1'
import { kubectlPath } from '@centaurus/apiserver/testing/kubectl'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type Client, type Informer, type InformerFactory } from '@centaurus/client'
import { eventually } from './test-partition.ts'
import { NAMESPACE } from './workloads.ts'

/** Somebody who follows the ConfigMaps of a namespace, and what they have seen. */
export interface Follower {
  readonly what: string
  /** Names that are there, as far as it knows. */
  names(): readonly string[]
  /** Why it did more than to hear of one change after the other; undefined: it did not. */
  interruption(): string | undefined
  close(): Promise<void>
}

/** Waits until it has seen everything that the client lists; fails when it did not, or not by one change after the other. */
export async function checkFollower(follower: Follower, client: Client): Promise<void> {
  const { items } = await client.list(configmaps, { namespace: NAMESPACE })
  const there = items.map(({ metadata }) => metadata.name).toSorted()
  const isEqual = async (): Promise<boolean> => follower.names().toSorted().join() === there.join()
  const same = eventually(`${follower.what}, to see what is there`, isEqual)
  await same.catch(() => assert.deepEqual(follower.names().toSorted(), there, follower.what))
  assert.equal(follower.interruption(), undefined, follower.what)
}

/** A watch that nobody opens again when it ends. */
export async function followByWatch(what: string, client: Client): Promise<Follower> {
  const { items, resourceVersion } = await client.list(configmaps, { namespace: NAMESPACE })
  const names = new Set(items.map(({ metadata }) => metadata.name))
  let interruption: string | undefined
  const watch = client.watch(configmaps, {
    namespace: NAMESPACE,
    resourceVersion,
    onEvent(type, { metadata: { name } }) {
      const isKnown = names.has(name)
      if (isKnown === (type === 'ADDED'))
        interruption ??= `${type} ${name}, which it ${isKnown ? 'knew' : 'did not know'}`
      if (type === 'DELETED') names.delete(name)
      else names.add(name)
    },
    onEnd: (error) => (interruption ??= `it ended: ${String(error)}`),
  })
  return {
    what: `${what}, a watch`,
    names: () => [...names],
    interruption: () => interruption,
    close: async () => watch.close(),
  }
}

/** An informer, which resumes watches, and would list again if it had to. */
export async function followByInformer(what: string, client: Client): Promise<Follower> {
  let lists = 0
  const counting: Client = Object.create(client, {
    list: {
      value: (...args: Parameters<Client['list']>) => {
        lists++
        return client.list(...args)
      },
    },
  }) as Client
  const factory: InformerFactory = createInformerFactory(counting, {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  })
  const informer: Informer<ConfigMap> = factory.informer(configmaps, { namespace: NAMESPACE })
  await factory.whenSynced()
  const first = lists
  return {
    what: `${what}, an informer`,
    names: () => informer.list().map(({ metadata }) => metadata.name ?? ''),
    interruption: () => (lists === first ? undefined : `it listed ${lists - first} times again`),
    close: () => factory.close(),
  }
}

/** The real `kubectl get --watch`. */
export async function followByKubectl(what: string, kubeconfig: string): Promise<Follower> {
  const line = '{.type} {.object.metadata.name}{"\\n"}'
  const args = ['get', 'configmaps', '-n', NAMESPACE, '--watch', '--output-watch-events', '-o', `jsonpath=${line}`]
  const child: ChildProcess = spawn(kubectlPath(35), args, {
    env: { KUBECONFIG: kubeconfig, HOME: dirname(kubeconfig) },
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let text = ''
  let complaint = ''
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', () => reject(new Error(complaint)))
  })
  const names = (): string[] => {
    const known = new Set<string>()
    for (const line of text.split('\n')) {
      const [type = '', name = ''] = line.split(' ')
      if (type === 'DELETED') known.delete(name)
      else if (name !== '') known.add(name)
    }
    return [...known]
  }
  return {
    what: `${what}, kubectl`,
    names,
    interruption: () => (child.exitCode === null ? undefined : `it ended: ${complaint}`),
    async close() {
      child.kill()
      await exited
    },
  }
}
