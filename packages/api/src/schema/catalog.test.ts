import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { findKind, findResource, resources } from './catalog.ts'
import { schemaOfDefinition, schemaOfKind } from './builtin.ts'
import { definitionNames } from './facts.ts'
import type { StructSchema, ValueSchema } from './schema.ts'

function listOf(schema: StructSchema | undefined, field: string): Extract<ValueSchema, { type: 'list' }> {
  const value = schema?.fields.get(field)?.value
  assert.equal(value?.type, 'list')
  return value
}

describe('the catalog of built-in resources', () => {
  it('tells what discovery tells of a resource', () => {
    const { schema, subresources, ...pods } = findResource('', 'v1', 'pods')!
    assert.deepEqual(pods, {
      group: '',
      version: 'v1',
      resource: 'pods',
      singular: 'pod',
      kind: 'Pod',
      listKind: 'PodList',
      namespaced: true,
      verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
      returnsDeleted: true,
      shortNames: ['po'],
      categories: ['all'],
      storageVersion: 'v1',
      storageGroup: '',
    })
    assert.deepEqual(
      subresources.find((each) => each.name === 'eviction'),
      {
        name: 'eviction',
        group: 'policy',
        version: 'v1',
        kind: 'Eviction',
        verbs: ['create'],
      },
    )
    assert.equal(schema().name, 'io.k8s.api.core.v1.Pod')
  })

  it('finds a resource by its kind and not a kind that is no resource', () => {
    assert.equal(findKind('apps', 'v1', 'Deployment')?.resource, 'deployments')
    assert.equal(findKind('autoscaling', 'v1', 'Scale'), undefined)
  })

  it('keeps all versions of a resource in one storage version', () => {
    const storage = new Map<string, string>()
    for (const { group, resource, storageVersion } of resources()) {
      const key = `${group}/${resource}`
      assert.equal(storage.get(key) ?? storageVersion, storageVersion)
      storage.set(key, storageVersion)
    }
    assert.equal(storage.get('autoscaling/horizontalpodautoscalers'), 'v2')
    assert.equal(storage.get('resource.k8s.io/resourceclaims'), 'v1')
    assert.equal(findResource('events.k8s.io', 'v1', 'events')?.storageGroup, '')
  })

  it('has fields for every resource, its list and the kinds of its subresources', () => {
    for (const info of resources()) {
      assert.equal(info.schema().fields.get('apiVersion')?.value.type, 'string', info.kind)
      if (info.verbs.includes('list')) assert.ok(schemaOfKind(info.group, info.version, info.listKind), info.listKind)
      for (const { group, version, kind } of info.subresources) assert.ok(schemaOfKind(group, version, kind), kind)
    }
  })
})

describe('the field tables', () => {
  it('resolve every reference', () => {
    for (const name of definitionNames()) checkStruct(schemaOfDefinition(name)!)
  })

  it('tell the keys of a keyed list and what an absent key means', () => {
    const ports = listOf(schemaOfDefinition('io.k8s.api.core.v1.ServiceSpec'), 'ports')
    assert.equal(ports.listType, 'map')
    assert.deepEqual(ports.listMapKeys, ['port', 'protocol'])
    assert.deepEqual(ports.listMapKeyDefaults, { port: 0, protocol: 'TCP' })
    const secrets = listOf(schemaOfDefinition('io.k8s.api.core.v1.PodSpec'), 'imagePullSecrets')
    assert.deepEqual(secrets.listMapKeyDefaults, { name: '' })
    const field = schemaOfDefinition('io.k8s.api.core.v1.ServiceSpec')?.fields.get('ports')
    assert.deepEqual([field?.patchStrategy, field?.patchMergeKey], [['merge'], 'port'])
  })

  it('tell what is owned as a whole', () => {
    const selector = schemaOfDefinition('io.k8s.api.apps.v1.DeploymentSpec')?.fields.get('selector')
    assert.deepEqual([selector?.value.type, selector?.required], ['struct', true])
    assert.equal(selector?.value.type === 'struct' && selector.value.mapType, 'atomic')
    const resources = schemaOfDefinition('io.k8s.api.core.v1.ServiceSpec')?.fields.get('selector')?.value
    assert.deepEqual(resources, { type: 'map', values: { type: 'string' }, mapType: 'atomic' })
    assert.equal(schemaOfDefinition('io.k8s.api.apps.v1.ControllerRevision')?.fields.get('data')?.value.type, 'any')
  })

  it('flatten what Go inlines', () => {
    const volume = schemaOfDefinition('io.k8s.api.core.v1.Volume')
    assert.deepEqual([...volume!.fields.keys()].slice(0, 3), ['name', 'hostPath', 'emptyDir'])
  })

  it('know the kinds of every group version', () => {
    assert.equal(schemaOfKind('apps', 'v1', 'DeleteOptions')?.name, schemaOfKind('', 'v1', 'DeleteOptions')?.name)
    assert.ok(schemaOfKind('', 'v1', 'Status')?.fields.has('reason'))
    assert.equal(schemaOfKind('example.com', 'v1', 'Widget'), undefined)
  })
})

function checkStruct(schema: StructSchema): void {
  for (const { value } of schema.fields.values()) checkValue(value)
}

function checkValue(value: ValueSchema): void {
  if (value.type === 'struct') assert.ok(value.struct().name)
  if (value.type === 'list') checkValue(value.items)
  if (value.type === 'map') checkValue(value.values)
}
