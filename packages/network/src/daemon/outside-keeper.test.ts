import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { listOutsideAddresses } from './outside-keeper.ts'

// as much of them as is asked for
const view = {
  nodes: [{ metadata: { name: 'edge' }, status: { addresses: [{ type: 'InternalIP', address: '192.168.77.2' }] } }],
  tenantOfVni: (vni: number) => (vni === 1 ? 'system' : 'acme'),
} as unknown as Parameters<typeof listOutsideAddresses>[0]

const frontend = (ip: string | undefined, more: Partial<ServiceFrontend> = {}): ServiceFrontend =>
  ({ vni: 1, scope: 'external', ip, port: 80, protocol: 'TCP', ...more }) as ServiceFrontend

describe('addresses at which a machine finds Services outside of the cluster', () => {
  it('are those of the operators, each once, and no node’s', () => {
    const frontends = [
      frontend('198.51.100.2'),
      frontend('198.51.100.1'),
      frontend('198.51.100.1', { port: 443 }),
      frontend('10.96.0.10', { scope: 'cluster' }),
      frontend(undefined, { port: 30_080 }),
      frontend('192.168.77.2'),
      frontend('198.51.100.3', { vni: 7 }),
    ]
    assert.deepEqual(listOutsideAddresses(view, frontends), ['198.51.100.1', '198.51.100.2'])
  })
})
