import assert from 'node:assert/strict'
import { it } from 'node:test'
import { namedPortsOf } from './named-ports.ts'

it('named ports are those with names of containers and of init containers that stay', () => {
  const port = (
    containerPort: number,
    name?: string,
    protocol?: string,
  ): { containerPort: number; name?: string; protocol?: string } => ({
    containerPort,
    ...(name === undefined ? {} : { name }),
    ...(protocol === undefined ? {} : { protocol }),
  })
  const spec = {
    containers: [
      { name: 'a', ports: [port(80, 'http'), port(53, 'dns', 'UDP'), port(9000)] },
      { name: 'b', ports: [port(7, 'sig', 'SCTP')] },
      { name: 'c' },
    ],
    initContainers: [
      { name: 'gone', ports: [port(1, 'gone')] },
      { name: 'stays', restartPolicy: 'Always', ports: [port(2, 'stays')] },
    ],
  }
  assert.deepEqual(namedPortsOf({ metadata: { name: 'p' }, spec }), [
    { name: 'http', protocol: 'TCP', port: 80 },
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'sig', protocol: 'SCTP', port: 7 },
    { name: 'stays', protocol: 'TCP', port: 2 },
  ])
  assert.deepEqual(namedPortsOf({ metadata: { name: 'p' } }), [])
})
