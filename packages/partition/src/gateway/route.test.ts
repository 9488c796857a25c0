import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { qualifyName } from '@centaurus/api'
import { parseRequestInfo } from '@centaurus/apiserver'
import fc from 'fast-check'
import { standIn, type ClusterMap } from './cluster-map.ts'
import { chooseRoute, type Route } from './route.ts'
import { parseTarget } from './target.ts'

const PLACES: Readonly<Record<string, string>> = { acme: 'home', globex: 'tp1', initech: 'tp2' }
const map: ClusterMap = {
  home: 'home',
  tenantPartitions: ['home', 'tp1', 'tp2'],
  resourcePartitions: ['rp0', 'rp1'],
  partitions: ['home', 'rp0', 'rp1', 'tp1', 'tp2'],
  partitionOf: (tenant) => PLACES[tenant],
}

const route = (path: string, { method = 'GET', as = 'system' } = {}): Route =>
  chooseRoute(map, { method, target: parseTarget(path), callerTenant: as })

const WORDS =
  'api apis v1 tenants acme globex nosuch system all namespaces default ' +
  'nodes pods status scale watch apps centaurus.io n1 %61cme a%2Fb %zz ' +
  'kube-node-lease leases coordination.k8s.io events metrics readyz default--acme'
const word = fc.constantFrom('', ...WORDS.split(' '))
const path = fc.oneof(
  fc.array(word, { maxLength: 9 }).map((words) => `/${words.join('/')}`),
  fc.array(word, { maxLength: 4 }).map((words) => `/tenants/${words.join('/')}`),
)
const method = fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD')

describe('the way of a request', () => {
  it('is read from the path as the API server reads it', () => {
    fc.assert(
      fc.property(path, (text) => {
        const target = parseTarget(text)
        let info
        try {
          info = parseRequestInfo({ method: 'GET', path: text, query: new URLSearchParams() })
        } catch {
          return assert.equal(target.isResource, false, 'what can’t be decoded goes where it is refused')
        }
        assert.equal(target.tenant ?? '', info.tenant)
        assert.equal(target.isResource, info.isResourceRequest)
        for (const field of ['group', 'version', 'namespace', 'resource', 'name', 'subresource'] as const) {
          assert.equal(target[field], info[field], field)
        }
        if (info.isResourceRequest) assert.equal(target.isLegacyWatch, info.verb === 'watch')
      }),
      { numRuns: 5000 },
    )
  })

  it('agrees with a slow and obvious reading of the rules', () => {
    const tenants = fc.constantFrom('system', 'acme', 'globex', 'nosuch')
    fc.assert(
      fc.property(path, method, tenants, (text, method, as) => {
        const found = route(text, { method, as })
        assert.equal(found.type === 'pass' ? found.partition : found.type, obviousRoute(text, method, as))
      }),
      { numRuns: 5000 },
    )
  })

  it('never takes users of a tenant to another partition', () => {
    fc.assert(
      fc.property(path, method, fc.constantFrom('acme', 'globex', 'initech', 'nosuch'), (text, method, as) => {
        const found = route(text, { method, as })
        if (found.type === 'health' || found.type === 'absent') return
        assert.deepEqual(found, { type: 'pass', partition: PLACES[as] ?? standIn(map, as) })
      }),
      { numRuns: 5000 },
    )
  })

  it('spreads tenants that do not exist over all partitions, always the same way', () => {
    const places = new Set(Array.from({ length: 100 }, (_, i) => standIn(map, `t${i}`)))
    assert.deepEqual([...places].toSorted(), ['home', 'tp1', 'tp2'])
    assert.equal(standIn(map, 'nosuch'), standIn(map, 'nosuch'))
  })

  it('leads to the partitions that have what belongs to nodes', () => {
    const partitions = ['rp0', 'rp1']
    for (const [root, resource] of [
      ['/api/v1', 'nodes'],
      ['/apis/storage.k8s.io/v1', 'csinodes'],
      ['/apis/certificates.k8s.io/v1', 'certificatesigningrequests'],
      ['/apis/centaurus.io/v1', 'nodeallocations'],
      ['/apis/centaurus.io/v1', 'networkreports'],
      ['/apis/metrics.k8s.io/v1beta1', 'nodes'],
      ['/apis/coordination.k8s.io/v1', 'namespaces/kube-node-lease/leases'],
    ]) {
      for (const prefix of ['', '/tenants/system', '/tenants/all']) {
        const base = `${prefix}${root}/${resource}`
        const one = { type: 'locate', partitions, fallback: 'rp0', asCaller: false }
        assert.deepEqual(route(base), { type: 'merge', partitions, shows: 'everything' })
        assert.deepEqual(route(`${base}/n1`), one)
        assert.deepEqual(route(`${base}/n1/status`, { method: 'PATCH' }), one)
        assert.deepEqual(route(base, { method: 'POST' }), { type: 'place', partitions, fallback: 'rp0' })
        assert.deepEqual(route(base, { method: 'DELETE' }), { type: 'broadcast', partitions })
      }
    }
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases'
    assert.deepEqual(route(leases), { type: 'pass', partition: 'home' })
  })

  it('leads to as many partitions as have copies of all nodes', () => {
    const wide = { ...map, resourcePartitions: ['rp0', 'rp1', 'rp2'] }
    const of = (path: string, method = 'GET'): Route =>
      chooseRoute(wide, { method, target: parseTarget(path), callerTenant: 'system' })
    const base = '/apis/centaurus.io/v1/remotenodes'
    const partitions = ['rp0', 'rp1']
    assert.deepEqual(of(base), { type: 'merge', partitions, shows: 'copies' })
    assert.deepEqual(of(`${base}/n1`), { type: 'locate', partitions, fallback: 'rp0', asCaller: false })
    assert.deepEqual(of(base, 'DELETE'), { type: 'broadcast', partitions: ['rp0', 'rp1', 'rp2'] })
  })

  it('leads the operators’ view over all tenants to the one that a name tells', () => {
    const own = (name: string): string => `/tenants/all/api/v1/namespaces/${name}/pods`
    assert.deepEqual(route(own('default--globex')), { type: 'pass', partition: 'tp1' })
    assert.deepEqual(route(own('default')), { type: 'pass', partition: 'home' })
    assert.deepEqual(route('/tenants/all/api/v1/persistentvolumes/pv--globex'), { type: 'pass', partition: 'tp1' })
    assert.deepEqual(route('/tenants/all/api/v1/namespaces/default--globex'), { type: 'pass', partition: 'tp1' })
    assert.equal(route(own(qualifyName('x'.repeat(60), 'globex'))).type, 'locate')
    assert.deepEqual(route('/tenants/all/api/v1/pods'), {
      type: 'merge',
      partitions: ['home', 'tp1', 'tp2'],
      shows: 'originals-and-home',
    })
    assert.equal(route('/tenants/all/api/v1/pods', { method: 'DELETE' }).type, 'method-not-allowed')
  })

  it('is not known before the registry was read', () => {
    const nothing: ClusterMap = {
      home: undefined,
      tenantPartitions: [],
      resourcePartitions: [],
      partitions: [],
      partitionOf: () => undefined,
    }
    for (const [path, as] of [
      ['/api/v1/nodes', 'system'],
      ['/version', 'system'],
      ['/tenants/acme/api', 'system'],
      ['/api/v1/pods', 'acme'],
    ] as const) {
      const found = chooseRoute(nothing, { method: 'GET', target: parseTarget(path), callerTenant: as })
      assert.deepEqual(found, { type: 'unknown' })
    }
  })
})

/** By the letter of the rules, one after the other: the name of a partition, or the type of the route. */
function obviousRoute(path: string, method: string, as: string): string {
  const place = (tenant: string): string => PLACES[tenant] ?? standIn(map, tenant)!
  const isHealth = (path: string): boolean => /^\/(readyz|livez|healthz)(\/|$)/.test(path)
  if (isHealth(path)) return 'health'
  let info
  try {
    info = parseRequestInfo({ method, path, query: new URLSearchParams() })
  } catch {
    // no way to read it: the path as it is, or below its tenant when that can be read
    const tenant = decoded(/^\/tenants\/([^/]+)/.exec(path)?.[1])
    if (as !== 'system') return place(as)
    return tenant === undefined || tenant === 'system' || tenant === 'all' ? 'home' : place(tenant)
  }
  const tenant = info.tenant === '' ? 'system' : info.tenant
  if (!info.isResourceRequest && info.path.startsWith('/partition/')) return 'absent'
  if (!info.isResourceRequest && info.tenant === '' && isHealth(info.path)) return 'health'
  if (as !== 'system') return place(as)
  if (tenant !== 'system' && tenant !== 'all') return place(tenant)
  if (!info.isResourceRequest) return info.path === '/metrics' ? 'metrics' : 'home'
  const isLease = info.group === 'coordination.k8s.io' && info.resource === 'leases'
  const isNode = (info.group === '' && info.resource === 'nodes') || (isLease && info.namespace === 'kube-node-lease')
  const isEvent = info.group === '' && info.resource === 'events'
  const namespaceTenant = info.namespace.includes('--')
    ? info.namespace.slice(info.namespace.lastIndexOf('--') + 2)
    : 'system'
  if (isEvent && tenant === 'all' && namespaceTenant !== 'system') return place(namespaceTenant)
  if (isNode || isEvent) {
    if (info.name !== '') return 'locate'
    if (method === 'GET' || method === 'HEAD') return 'merge'
    if (method === 'DELETE') return 'broadcast'
    return isNode ? 'place' : 'home'
  }
  if (tenant === 'system') return 'home'
  const named = info.namespace !== '' ? info.namespace : info.name
  if (named !== '') return named.includes('--') ? place(named.slice(named.lastIndexOf('--') + 2)) : 'home'
  if (method === 'GET' || method === 'HEAD') return 'merge'
  return method === 'DELETE' ? 'method-not-allowed' : 'home'
}

/** Undefined for what is none. */
function decoded(text = '%'): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
