import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { schemaOfKind } from '../schema/builtin.ts'
import { mergeConfiguration } from './merge-configuration.ts'

const SCHEMA = schemaOfKind('apps', 'v1', 'Deployment')!

describe('mergeConfiguration', () => {
  const live = {
    metadata: { name: 'd', labels: { a: 'b' } },
    spec: {
      replicas: 1,
      template: { spec: { containers: [{ name: 'c', image: 'i', command: ['x'] }], nodeSelector: { a: 'b' } } },
    },
  }
  const containers = (...items: object[]): object => ({ spec: { template: { spec: { containers: items } } } })
  const merge = (configuration: object): unknown =>
    mergeConfiguration(live, configuration as Record<string, unknown>, SCHEMA)

  it('sets fields, members of maps and items by their keys', () => {
    const configuration = {
      metadata: { labels: { c: 'd' } },
      spec: { ...(containers({ name: 'c', image: 'j' }, { name: 'e', image: 'k' }) as typeof live).spec },
    }
    const template = {
      spec: {
        containers: [
          { name: 'c', image: 'j', command: ['x'] },
          { name: 'e', image: 'k' },
        ],
        nodeSelector: { a: 'b' },
      },
    }
    assert.deepEqual(merge({ ...configuration, spec: { ...configuration.spec, replicas: 3 } }), {
      metadata: { name: 'd', labels: { a: 'b', c: 'd' } },
      spec: { replicas: 3, template },
    })
    assert.equal(live.spec.replicas, 1)
  })

  it('refuses what can only be set as a whole, and what no schema knows', () => {
    assert.throws(() => merge(containers({ name: 'c', command: ['y'] })), {
      message:
        'invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.template.spec.containers[0].command',
    })
    assert.throws(
      () => merge({ spec: { template: { spec: { nodeSelector: { c: 'd' } } } } }),
      /atomic.*: \.spec\.template\.spec\.nodeSelector$/,
    )
    assert.throws(() => merge({ spec: { replica: 1 } }), /\.spec\.replica: field not declared in schema/)
  })
})
