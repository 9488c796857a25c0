import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checksum, ethernet, ipv4, PROTOCOL_NUMBERS, TCP_ACK, TCP_SYN } from '../testing/frames.ts'
import {
  A,
  B,
  clusterIP,
  describeFrame,
  formatIP,
  GATEWAY_MAC,
  HOST_DEVICE,
  ipPacket,
  NODE,
  nodePort,
  type Packet,
  portOf,
  REMOTE,
  SERVICE,
  TCP_FIN,
  useServiceHost,
  WORLD,
} from '../testing/service-host.ts'
import { createServiceWriter } from './service-writer.ts'

describe('Flows of Services in the kernel', () => {
  const services = useServiceHost()
  const { apply, ask, fromPod, fromWorld } = services

  describe('ICMP errors', () => {
    /** Port unreachable of what was sent. */
    const unreachable = (from: string, about: Packet): Buffer => {
      const quoted = ipPacket(about).subarray(0, 28)
      const icmp = Buffer.concat([Buffer.from([3, 3, 0, 0, 0, 0, 0, 0]), quoted])
      icmp.writeUInt16BE(checksum(icmp), 2)
      return ipv4({ source: from, destination: about.source, protocol: PROTOCOL_NUMBERS.ICMP }, icmp)
    }
    const quotedOf = (frame: Buffer): string => {
      assert.equal(checksum(frame.subarray(42, 62)), 0, 'quoted IP checksum')
      return `${formatIP(frame.subarray(54, 58))}:${frame.readUInt16BE(62)} > ${formatIP(frame.subarray(58, 62))}:${frame.readUInt16BE(64)}`
    }

    it('of a backend come from the service and quote what the client sent', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      fromPod(A, ask({ protocol: 'UDP' }))
      const sent: Packet = {
        source: A.ip,
        sourcePort: services.port,
        destination: B.ip,
        destinationPort: 8080,
        protocol: 'UDP',
      }
      const error = ethernet({ source: B.mac, destination: GATEWAY_MAC }, unreachable(B.ip, sent))
      const { target, frame } = services.host.run('from_pod', error, { ifindex: B.ifindex })
      assert.deepEqual([target, describeFrame(frame)], [A.ifindex, `${SERVICE} > ${A.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${A.ip}:${services.port} > ${SERVICE}:80`)
    })

    it('of a client go to the backend and quote what it sent', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      fromPod(A, ask({ protocol: 'UDP' }))
      fromPod(B, { sourcePort: 8080, destination: A.ip, destinationPort: services.port, protocol: 'UDP' })
      const got: Packet = {
        source: SERVICE,
        sourcePort: 80,
        destination: A.ip,
        destinationPort: services.port,
        protocol: 'UDP',
      }
      const error = ethernet({ source: A.mac, destination: GATEWAY_MAC }, unreachable(A.ip, got))
      const { target, frame } = services.host.run('from_pod', error, { ifindex: A.ifindex })
      assert.deepEqual([target, describeFrame(frame)], [B.ifindex, `${A.ip} > ${B.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${B.ip}:8080 > ${A.ip}:${services.port}`)
    })

    it('of a router on the way to the world reach the pod behind a node port', () => {
      apply(nodePort([B.ip], { protocol: 'UDP' }))
      const sent = fromWorld(ask({ destination: NODE, destinationPort: 30_080, protocol: 'UDP' }))
      const port = portOf(describeFrame(sent.frame).split(' > ')[0] ?? '')
      fromPod(B, { sourcePort: 8080, destination: NODE, destinationPort: port, protocol: 'UDP' })
      const left: Packet = {
        source: NODE,
        sourcePort: 30_080,
        destination: WORLD,
        destinationPort: services.port,
        protocol: 'UDP',
      }
      const error = ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, unreachable('203.0.113.1', left))
      const { target, frame } = services.host.run('from_uplink', error)
      assert.deepEqual([target, describeFrame(frame)], [B.ifindex, `203.0.113.1 > ${B.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${B.ip}:8080 > ${NODE}:${port}`)
    })
  })

  describe('Ports of clients', () => {
    it('differ when two services lead one client’s equal ports to one backend', () => {
      apply(clusterIP([B.ip]), clusterIP([B.ip], { ip: '10.96.0.11', name: 'default/other:http' }))
      assert.equal(describeFrame(fromPod(A, ask()).frame), `${A.ip}:${services.port} > ${B.ip}:8080`)
      const second = describeFrame(fromPod(A, ask({ destination: '10.96.0.11' })).frame)
      const port = portOf(second.split(' > ')[0] ?? '')
      assert.notEqual(port, services.port)
      const answer = { sourcePort: 8080, destination: A.ip, destinationPort: port, flags: TCP_SYN | TCP_ACK }
      assert.equal(describeFrame(fromPod(B, answer).frame), `10.96.0.11:80 > ${A.ip}:${services.port}`)
    })

    it('are used again for a flow that ended and begins anew', () => {
      apply(clusterIP([B.ip]))
      fromPod(A, ask())
      fromPod(A, ask({ flags: TCP_FIN | TCP_ACK }))
      assert.equal(describeFrame(fromPod(A, ask()).frame), `${A.ip}:${services.port} > ${B.ip}:8080`)
    })
  })

  // last, since another writer leaves the host's own without knowledge of what the tables hold
  describe('A daemon that comes back', () => {
    it('finds the tables that it wrote: equal ones need one write, and flows go on', () => {
      const frontends = [
        clusterIP([B.ip, REMOTE]),
        nodePort([B.ip], { sourceRanges: ['203.0.113.0/24'], ip: '198.51.100.200' }),
      ]
      apply(...frontends)
      const { target } = fromPod(A, ask())
      const written: string[] = []
      const writer = createServiceWriter((name) => {
        const map = services.host.map(name)
        return {
          maxEntries: map.maxEntries,
          get: (key) => map.get(key),
          keys: () => map.keys(),
          entries: () => map.entries(),
          set: (key, value) => {
            written.push(name)
            map.set(key, value)
          },
          setMany: (entries) => {
            written.push(...entries.map(() => name))
            map.setMany(entries)
          },
          delete: (key) => {
            written.push(name)
            return map.delete(key)
          },
        }
      })
      assert.deepEqual(writer.apply({ frontends }), [])
      assert.deepEqual(written, ['.data.services'])
      assert.equal(fromPod(A, ask({ flags: TCP_ACK })).target, target)
      writer.apply({ frontends: frontends.slice(1) })
      assert.equal(fromPod(A, ask({ sourcePort: services.port + 1 })).target, HOST_DEVICE)
    })
  })
})
