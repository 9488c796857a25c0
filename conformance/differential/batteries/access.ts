import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

const AS = { 'impersonate-user': 'nobody' }

/** What somebody without rights is told, and what reviews say. */
export async function accessBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'acc')
  await forbidden(recorder, namespace)
  await impersonation(recorder)
  await reviews(recorder, namespace)
  await escalation(recorder, namespace)
  await tokens(recorder, namespace)
}

async function forbidden(recorder: Recorder, namespace: string): Promise<void> {
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const requests = [
    ['GET', pods],
    ['GET', `${pods}/x`],
    ['GET', `${pods}/x/log`],
    ['POST', pods],
    ['PUT', `${pods}/x`],
    ['PATCH', `${pods}/x`],
    ['DELETE', pods],
    ['DELETE', `${pods}/x`],
    ['GET', `${pods}?watch=1`],
    ['GET', '/api/v1/pods'],
    ['GET', '/api/v1/nodes'],
    ['GET', '/api/v1/nodes/x'],
    ['GET', `/api/v1/namespaces/${namespace}`],
    ['GET', '/api/v1/namespaces'],
    ['POST', '/api/v1/namespaces'],
    ['GET', '/apis/apps/v1/deployments'],
    ['GET', `/apis/apps/v1/namespaces/${namespace}/deployments/x/scale`],
    ['GET', '/metrics'],
    ['GET', '/logs'],
    ['GET', '/nothing'],
    ['GET', '/healthz'],
    ['GET', '/version'],
    ['GET', '/api'],
    ['GET', '/apis/none.example.com/v1/things'],
    ['GET', `/apis/none.example.com/v1/namespaces/${namespace}/things/x`],
    ['GET', '/openapi/v2'],
    ['POST', `${pods}/x/exec`],
    ['GET', `${pods}/x/exec`],
    ['POST', `${pods}/x/eviction`],
    ['POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`],
    ['GET', '/api/v1/watch/pods'],
  ] as const
  for (const [method, path] of requests) {
    const body = method === 'POST' || method === 'PUT' || method === 'PATCH' ? {} : undefined
    const headers = method === 'PATCH' ? { ...AS, 'content-type': 'application/merge-patch+json' } : AS
    await recorder.call(`forbidden ${method} ${path}`, { method, path, body, headers, quietMs: 3000 })
  }
  for (const user of ['system:anonymous', 'system:serviceaccount:a:b', 'system:node:n', 'x y']) {
    await recorder.call(`forbidden to ${user}`, {
      method: 'GET',
      path: '/api/v1/secrets',
      headers: { 'impersonate-user': user },
    })
  }
}

async function impersonation(recorder: Recorder): Promise<void> {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
  const cases: Record<string, Record<string, string>> = {
    nobody: {},
    user: AS,
    'user and group': { ...AS, 'impersonate-group': 'g' },
    'group alone': { 'impersonate-group': 'g' },
    'uid alone': { 'impersonate-uid': 'u' },
    'user and uid': { ...AS, 'impersonate-uid': 'u' },
    extra: { ...AS, 'impersonate-extra-a%2fb': 'c' },
    'extra alone': { 'impersonate-extra-a': 'c' },
    account: { 'impersonate-user': 'system:serviceaccount:a:b' },
    anonymous: { 'impersonate-user': 'system:anonymous' },
    'authenticated already': { ...AS, 'impersonate-group': 'system:authenticated' },
  }
  for (const [name, headers] of Object.entries(cases))
    await recorder.call(`who am I: ${name}`, { method: 'POST', path, body: {}, headers })
}

async function reviews(recorder: Recorder, namespace: string): Promise<void> {
  const self = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
  const specs: Record<string, unknown> = {
    pods: { resourceAttributes: { verb: 'get', resource: 'pods', namespace } },
    everything: { resourceAttributes: { verb: '*', resource: '*', group: '*' } },
    path: { nonResourceAttributes: { verb: 'get', path: '/metrics' } },
    nothing: {},
    both: { resourceAttributes: { verb: 'get' }, nonResourceAttributes: { verb: 'get', path: '/' } },
    selectors: {
      resourceAttributes: { verb: 'list', resource: 'pods', fieldSelector: { rawSelector: 'spec.nodeName=x' } },
    },
    'bad selectors': {
      resourceAttributes: {
        verb: 'list',
        resource: 'pods',
        labelSelector: { requirements: [{ key: 'a', operator: 'Near' }] },
      },
    },
  }
  for (const [name, spec] of Object.entries(specs)) {
    for (const [who, headers] of [
      ['admin', {}],
      ['nobody', AS],
    ] as const) {
      await recorder.call(`may ${who}: ${name}`, { method: 'POST', path: self, body: { spec }, headers })
    }
  }
  const subject = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
  const resourceAttributes = { verb: 'get', resource: 'pods', namespace }
  for (const [name, spec] of Object.entries({
    none: { resourceAttributes },
    user: { user: 'x', resourceAttributes },
    masters: { user: 'x', groups: ['system:masters'], resourceAttributes },
    group: { groups: ['system:masters'], resourceAttributes },
  })) {
    await recorder.call(`may subject: ${name}`, { method: 'POST', path: subject, body: { spec } })
  }
  const local = `/apis/authorization.k8s.io/v1/namespaces/${namespace}/localsubjectaccessreviews`
  await recorder.call('local review elsewhere', {
    method: 'POST',
    path: local,
    body: { spec: { user: 'x', resourceAttributes: { ...resourceAttributes, namespace: 'other' } } },
  })
  await recorder.call('local review', {
    method: 'POST',
    path: local,
    body: { spec: { user: 'x', resourceAttributes } },
  })
  const rules = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews'
  await recorder.call('rules of nobody', { method: 'POST', path: rules, body: { spec: { namespace } }, headers: AS })
  await recorder.call('rules of admin', { method: 'POST', path: rules, body: { spec: { namespace } } })
  await recorder.call('rules nowhere', { method: 'POST', path: rules, body: { spec: {} } })
  const token = '/apis/authentication.k8s.io/v1/tokenreviews'
  await recorder.call('review of no token', { method: 'POST', path: token, body: { spec: {} } })
  await recorder.call('review of a bad token', { method: 'POST', path: token, body: { spec: { token: 'nonsense' } } })
}

async function escalation(recorder: Recorder, namespace: string): Promise<void> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const grant = {
    rules: [
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['*'], verbs: ['create', 'update', 'get', 'patch'] },
    ],
  }
  await recorder.prepare({
    method: 'POST',
    path: `${rbac}/clusterroles`,
    body: { metadata: { name: `writer-${recorder.run}` }, ...grant },
  })
  await recorder.prepare({
    method: 'POST',
    path: `${rbac}/clusterrolebindings`,
    body: {
      metadata: { name: `writer-${recorder.run}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: `writer-${recorder.run}` },
      subjects: [{ kind: 'User', name: 'writer', apiGroup: 'rbac.authorization.k8s.io' }],
    },
  })
  const headers = { 'impersonate-user': 'writer' }
  // rules are read from a cache
  for (let i = 0; i < 40; i++) {
    if ((await recorder.prepare({ method: 'GET', path: `${rbac}/clusterroles/view`, headers })).status === 200) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const roles = `${rbac}/namespaces/${namespace}/roles`
  await recorder.call('escalate a role', {
    method: 'POST',
    path: roles,
    headers,
    body: {
      metadata: { name: 'e' },
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
        { apiGroups: ['apps'], resources: ['deployments'], resourceNames: ['a'], verbs: ['get'] },
      ],
    },
  })
  await recorder.call('escalate a cluster role', {
    method: 'POST',
    path: `${rbac}/clusterroles`,
    headers,
    body: { metadata: { name: `e-${recorder.run}` }, rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }] },
  })
  const bindings = `${rbac}/namespaces/${namespace}/rolebindings`
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }
  await recorder.call('bind what one may not', {
    method: 'POST',
    path: bindings,
    headers,
    body: { metadata: { name: 'b' }, roleRef, subjects: [] },
  })
  await recorder.call('bind what is not there', {
    method: 'POST',
    path: bindings,
    headers,
    body: { metadata: { name: 'b' }, roleRef: { ...roleRef, name: 'none' }, subjects: [] },
  })
  await recorder.call('make a role one holds', {
    method: 'POST',
    path: roles,
    headers,
    body: { metadata: { name: 'h' }, rules: [{ ...grant.rules[0], verbs: ['get'] }] },
  })
}

async function tokens(recorder: Recorder, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`
  const made = await recorder.call('token', { method: 'POST', path, body: { spec: {} } })
  for (const [name, spec] of Object.entries({
    short: { expirationSeconds: 10 },
    long: { expirationSeconds: 2 ** 33 },
    audience: { audiences: ['a', 'b'] },
    'bound to nothing': { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'none' } },
    'bound to a kind': { boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'none' } },
  })) {
    await recorder.call(`token ${name}`, { method: 'POST', path, body: { spec } })
  }
  await recorder.call('token of a wrong account', {
    method: 'POST',
    path: path.replace('default', 'none'),
    body: { spec: {} },
  })
  const token = (made.object['status'] as { token?: string } | undefined)?.token ?? ''
  await recorder.call('review of a token', {
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    body: { spec: { token } },
  })
  await recorder.call('review for another audience', {
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    body: { spec: { token, audiences: ['x'] } },
  })
}
