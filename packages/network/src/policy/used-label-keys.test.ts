import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { usedLabelKeys } from './used-label-keys.ts'

describe('used label keys', () => {
  it('are those of pods in subjects and peers, of labels and expressions, and none of namespaces or nodes', () => {
    const networkPolicies = [
      {
        metadata: { name: 'a', namespace: 'x' },
        spec: {
          podSelector: { matchLabels: { app: 'web' } },
          ingress: [
            { from: [{ podSelector: { matchExpressions: [{ key: 'role', operator: 'Exists' }] } }] },
            { from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }, { ipBlock: { cidr: '10.0.0.0/8' } }] },
          ],
          egress: [{ to: [{ podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] }],
        },
      },
      { metadata: { name: 'b', namespace: 'x' } },
    ]
    const clusterNetworkPolicies = [
      {
        metadata: { name: 'c' },
        spec: {
          tier: 'Admin',
          priority: 1,
          subject: {
            pods: { namespaceSelector: { matchLabels: { zone: 'a' } }, podSelector: { matchLabels: { tier: 'db' } } },
          },
          ingress: [{ action: 'Deny', from: [{ pods: { podSelector: { matchLabels: { from: 'x' } } } }] }],
          egress: [
            {
              action: 'Pass',
              to: [
                { nodes: { matchLabels: { os: 'linux' } } },
                { pods: { podSelector: { matchLabels: { to: 'y' } } } },
              ],
            },
          ],
        },
      },
    ]
    assert.deepEqual(usedLabelKeys({ networkPolicies, clusterNetworkPolicies }), [
      'app',
      'from',
      'k8s-app',
      'role',
      'tier',
      'to',
    ])
  })

  it('are none without policies', () => {
    assert.deepEqual(usedLabelKeys({ networkPolicies: [], clusterNetworkPolicies: [] }), [])
  })
})
