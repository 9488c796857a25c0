import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TENANT_ANNOTATION, type ObjectKey, type Stored } from '@centaurus/api'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger } from '@centaurus/base'
import { createInformerFactory, type Client, type ClientWatchOptions } from '@centaurus/client'
import { createHostedInformers } from './hosted-informers.ts'

function podOf(name: string, tenant: string, version = '1'): Stored<Pod> {
  const annotations = tenant === 'system' ? {} : { [TENANT_ANNOTATION]: tenant }
  return {
    metadata: { name, namespace: 'ns', uid: name, resourceVersion: version, creationTimestamp: '', annotations },
  }
}

describe('informers of what a partition hosts', () => {
  const hosted = new Set(['system', 'acme'])
  const listeners = new Set<(tenant: string) => void>()
  const hosting = {
    isHosted: (tenant: string) => hosted.has(tenant),
    onChange(listener: (tenant: string) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const change = (tenant: string, isHosted: boolean): void => {
    if (isHosted) hosted.add(tenant)
    else hosted.delete(tenant)
    for (const listener of listeners) listener(tenant)
  }

  it('hide copies, and show a tenant from the moment that it lives here to the moment that it does not', async () => {
    let watch: ClientWatchOptions<Pod> | undefined
    const items = [podOf('own', 'system'), podOf('a', 'acme'), podOf('b', 'beta')]
    const client = {
      list: async () => ({ items, resourceVersion: '10', continue: undefined }),
      watch(type: unknown, options: ClientWatchOptions<Pod>) {
        if (type === pods) watch = options
        return { close: () => options.onEnd(undefined) }
      },
    } as unknown as Client // only what an informer calls
    const inner = createInformerFactory(client, { clock: createManualClock(), random: createSeededRandom(1) })
    const factory = createHostedInformers(inner, hosting, silentLogger)
    const informer = factory.informer(pods)
    assert.equal(factory.informer(pods), informer)
    assert.equal(factory.informer(nodes), inner.informer(nodes), 'nodes are nobody’s copies')
    informer.addIndex('namespace', (pod) => [pod.metadata.namespace ?? ''])
    const seen: string[] = []
    informer.addHandler({
      onAdd: ({ metadata }) => seen.push(`+${metadata.name}`),
      onUpdate: ({ metadata }) => seen.push(`~${metadata.name}`),
      onDelete: ({ metadata }) => seen.push(`-${metadata.name}`),
    })
    await informer.whenSynced()
    const names = (): string =>
      informer
        .list()
        .map(({ metadata }) => metadata.name)
        .toSorted()
        .join()
    assert.deepEqual([names(), seen.join()], ['a,own', '+own,+a'])
    assert.equal(informer.get('ns/b' as ObjectKey), undefined)
    watch!.onEvent('MODIFIED', podOf('b', 'beta', '11'))
    watch!.onEvent('ADDED', podOf('c', 'beta', '12'))
    assert.equal(seen.length, 2)
    change('beta', true)
    assert.deepEqual([names(), seen.slice(2).join()], ['a,b,c,own', '+b,+c'])
    watch!.onEvent('MODIFIED', podOf('b', 'beta', '13'))
    change('acme', false)
    watch!.onEvent('DELETED', podOf('a', 'acme', '14'))
    assert.deepEqual([names(), seen.slice(4).join()], ['b,c,own', '~b,-a'])
    assert.equal(informer.byIndex('namespace', 'ns').length, 3)
    await factory.close()
    assert.equal(listeners.size, 0)
  })
})
