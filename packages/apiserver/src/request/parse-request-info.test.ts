import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { effectiveTenant } from './effective-tenant.ts'
import { parsePlainInfo, parseRequestInfo } from './parse-request-info.ts'
import type { UserInfo } from './request-info.ts'

const parse = (path: string, method = 'GET') => parseRequestInfo({ method, path, query: new URLSearchParams() })

describe('the tenant in a URL', () => {
  it('stands before any path, or in an API path as Arktos has it', () => {
    for (const path of ['/tenants/acme/api/v1/namespaces/a/pods/b', '/api/v1/tenants/acme/namespaces/a/pods/b']) {
      const { tenant, namespace, resource, name, verb } = parse(path)
      assert.deepEqual([tenant, namespace, resource, name, verb], ['acme', 'a', 'pods', 'b', 'get'])
    }
    const { tenant, group, resource } = parse('/apis/apps/v1/tenants/acme/deployments')
    assert.deepEqual([tenant, group, resource], ['acme', 'apps', 'deployments'])
    assert.deepEqual([parse('/tenants/acme/version').path, parse('/tenants/acme').path], ['/version', '/'])
    assert.equal(parse('/api/v1/tenants/acme/watch/pods').verb, 'watch')
  })

  it('is none where nothing names it', () => {
    const paths = ['/api/v1/pods', '/version', '/api/v1/namespaces/tenants/pods', '/api/v1/tenants/acme']
    for (const path of [...paths, '/tenants//version'])
      assert.deepEqual([parse(path).tenant, parse(path).path], ['', path])
  })

  it('does not hide the registry, or custom resources called tenants', () => {
    const registered = parse('/apis/centaurus.io/v1/tenants/acme/status')
    assert.deepEqual(
      [registered.tenant, registered.resource, registered.name, registered.subresource],
      ['', 'tenants', 'acme', 'status'],
    )
    const custom = parse('/apis/example.com/v1/tenants/acme/scale')
    assert.deepEqual([custom.tenant, custom.resource, custom.subresource], ['', 'tenants', 'scale'])
  })

  it('is part of the path for who reads it plainly, and one tenant is enough', () => {
    const plain = parsePlainInfo({ method: 'GET', path: '/tenants/acme/api/v1/pods', query: new URLSearchParams() })
    assert.deepEqual([plain.isResourceRequest, plain.path], [false, '/tenants/acme/api/v1/pods'])
    const twice = parse('/tenants/acme/api/v1/tenants/other/pods')
    assert.deepEqual([twice.tenant, twice.resource, twice.name], ['acme', 'tenants', 'other'])
  })
})

describe('effectiveTenant', () => {
  const user = (tenant: string, groups: string[] = ['system:authenticated']): UserInfo => ({
    name: 'ada',
    uid: '',
    groups,
    extra: {},
    tenant,
  })
  const isHosted = (name: string): boolean => name === 'acme'

  it('keeps users in their tenant', () => {
    assert.equal(effectiveTenant(user('acme'), '', isHosted), 'acme')
    assert.equal(effectiveTenant(user('acme'), 'acme', isHosted), 'acme')
    for (const name of ['system', 'all', 'globex', 'acm%65'])
      assert.equal(effectiveTenant(user('acme'), name, isHosted), undefined, name)
  })

  it('lets operators into those that are hosted here, and into the view over all', () => {
    assert.equal(effectiveTenant(user('system'), '', isHosted), 'system')
    for (const name of ['acme', 'all', 'system']) assert.equal(effectiveTenant(user('system'), name, isHosted), name)
    assert.equal(effectiveTenant(user('system'), 'globex', isHosted), undefined)
  })

  it('gives nobody known no tenant at all', () => {
    const anonymous = user('system', ['system:unauthenticated'])
    assert.equal(effectiveTenant(anonymous, '', isHosted), 'system')
    for (const name of ['acme', 'system', 'all']) assert.equal(effectiveTenant(anonymous, name, isHosted), undefined)
  })
})
