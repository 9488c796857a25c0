import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GENEVE_PORT, TCP_ACK, TCP_SYN } from '../testing/frames.ts'
import {
  A,
  asked,
  B,
  backend,
  clusterIP,
  describeFrame,
  formatIP,
  frameOf,
  HAIRPIN,
  HOST_DEVICE,
  NODE,
  NODE_B,
  nodePort,
  type Packet,
  pod,
  portOf,
  REMOTE,
  STRANGER,
  tunnelled,
  UPLINK,
  useServiceHost,
  WORLD,
} from '../testing/service-host.ts'
import { TEST_HOST } from '../testing/test-dataplane.ts'

describe('Services in the kernel, from outside of the cluster', () => {
  const services = useServiceHost()
  const { apply, ask, fromHost, fromPod, fromWorld } = services

  describe('Node ports', () => {
    const external = (more: Partial<Packet> = {}): Omit<Packet, 'source'> =>
      ask({ destination: NODE, destinationPort: 30_080, ...more })

    it('send the world to a pod here with the node as source, and answers back out of the same device', () => {
      apply(nodePort([B.ip]))
      const sent = fromWorld(external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${services.port}`])
      const flow = services.host
        .listFlows()
        .find(({ key }) => key.lowPort === portOf(source) || key.highPort === portOf(source))
      assert.equal(flow?.entry.identity, 2)
    })

    it('send the world to a pod elsewhere through the tunnel as world, and answers back', () => {
      apply(nodePort([REMOTE]))
      const sent = fromWorld(external())
      assert.equal(sent.target, UPLINK)
      assert.equal(sent.frame.readUInt32BE(54), 2)
      const [source = ''] = describeFrame(sent.frame, 72).split(' > ')
      const answer = {
        source: REMOTE,
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(services.host.run('from_uplink', tunnelled(answer))), [
        'redirect',
        UPLINK,
        `${NODE}:30080 > ${WORLD}:${services.port}`,
      ])
    })

    it('give services.port with equal ports different ones, and one client its own again', () => {
      apply(nodePort([REMOTE]))
      const sources = Array.from({ length: 200 }, (_, i) => {
        const { frame } = fromWorld({ source: `198.51.100.${i}`, ...external({ sourcePort: 40_000 }) })
        return describeFrame(frame, 72).split(' > ')[0]
      })
      assert.equal(new Set(sources).size, 200)
      const again = fromWorld({ source: '198.51.100.7', ...external({ sourcePort: 40_000, flags: TCP_ACK }) })
      assert.equal(describeFrame(again.frame, 72).split(' > ')[0], sources[7])
    })

    it('keep the source with externalTrafficPolicy Local, and answers leave with the node as source', () => {
      apply(nodePort([B.ip, REMOTE], { externalBackends: [backend(B.ip)], keepsSource: true }))
      assert.deepEqual(asked(fromWorld(external())), [
        'redirect',
        B.ifindex,
        `${WORLD}:${services.port} > ${B.ip}:8080`,
      ])
      const answer = { sourcePort: 8080, destination: WORLD, destinationPort: services.port, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${services.port}`])
    })

    it('send the world to a node, and answers back, whichever node it is', () => {
      apply(nodePort([NODE_B], { externalBackends: [backend(NODE_B)] }))
      const sent = fromWorld(external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:8080`])
      const answer = {
        source: NODE_B,
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromWorld(answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${services.port}`])
      apply(nodePort([NODE], { externalBackends: [backend(NODE)] }))
      const own = fromWorld(external({ sourcePort: services.port + 1 }))
      assert.deepEqual(asked(own), ['redirect', HOST_DEVICE, `${HAIRPIN}:${services.port + 1} > ${NODE}:8080`])
      const ownAnswer = {
        source: NODE,
        sourcePort: 8080,
        destination: HAIRPIN,
        destinationPort: services.port + 1,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromHost(ownAnswer)), [
        'redirect',
        UPLINK,
        `${NODE}:30080 > ${WORLD}:${services.port + 1}`,
      ])
    })

    it('send a node to itself by way of another one', () => {
      apply(nodePort([NODE_B], { externalBackends: [backend(NODE_B)] }))
      const sent = fromWorld({ source: NODE_B, ...external() })
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:8080`])
    })

    it('answer this host at its own address, by way of the loopback', () => {
      apply(nodePort([B.ip]))
      const sent = services.host.run('from_loopback', frameOf({ source: NODE, ...external() }))
      assert.deepEqual(asked(sent), ['redirect', B.ifindex, `${NODE}:${services.port} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: NODE, destinationPort: services.port, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', 1, `${NODE}:30080 > ${NODE}:${services.port}`])
      assert.equal(
        services.host.run('from_loopback', frameOf({ source: NODE, ...external({ destinationPort: 22 }) })).verdict,
        'pass',
      )
      const loopback = { source: '127.0.0.1', ...external({ destination: '127.0.0.1' }) }
      assert.equal(services.host.run('from_loopback', frameOf(loopback)).lookups, 0)
    })

    it('answer pods of their network, and those of others as the world', () => {
      apply(nodePort([B.ip]))
      assert.deepEqual(asked(fromPod(A, external())), [
        'redirect',
        B.ifindex,
        `${A.ip}:${services.port} > ${B.ip}:8080`,
      ])
      const sent = fromPod(STRANGER, external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(B, answer)), [
        'redirect',
        STRANGER.ifindex,
        `${NODE}:30080 > ${STRANGER.ip}:${services.port}`,
      ])
    })

    it('lead pods of other networks to backends elsewhere, and answers back', () => {
      const own = { vni: 9, ip: '10.50.0.5', hostIP: '100.64.0.5', routeDomain: 9, blockPrefix: 26 }
      const guest = { ...pod(13), ...own }
      services.host.tables.setRoute({ domain: own.vni, cidr: '10.50.0.0/26', node: NODE })
      services.host.tables.setEndpoint(guest)
      apply(nodePort([REMOTE]))
      for (const client of [STRANGER, guest]) {
        const sent = fromPod(client, external())
        assert.deepEqual([sent.target, sent.frame.readUInt32BE(54)], [UPLINK, 2], client.ip)
        const [source = '', destination] = describeFrame(sent.frame, 72).split(' > ')
        assert.deepEqual([source.split(':')[0], destination], [NODE, `${REMOTE}:8080`])
        const answer = {
          source: REMOTE,
          sourcePort: 8080,
          destination: NODE,
          destinationPort: portOf(source),
          flags: TCP_SYN | TCP_ACK,
        }
        assert.deepEqual(asked(services.host.run('from_uplink', tunnelled(answer))), [
          'redirect',
          client.ifindex,
          `${NODE}:30080 > ${client.ip}:${services.port}`,
        ])
      }
      services.host.tables.removeEndpoint(guest)
      services.host.tables.removeRoute({ domain: own.vni, cidr: '10.50.0.0/26' })
    })

    it('refuse the world without backends, and leave other packets to the host', () => {
      apply(nodePort([], { whenExternalEmpty: 'refuse' }), clusterIP([B.ip], { name: 'default/other:http' }))
      const reset = fromWorld(external())
      assert.deepEqual(asked(reset), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${services.port}`])
      assert.equal(fromWorld(external({ destinationPort: 22 })).verdict, 'pass')
      assert.equal(fromWorld(ask()).verdict, 'pass')
    })

    it('cost packets that are no service no look-up', () => {
      apply(nodePort([B.ip]))
      assert.equal(fromWorld(external({ destinationPort: 22 })).lookups, 0)
    })

    it('tell a client whose packets do not fit the tunnel', () => {
      apply(nodePort([REMOTE], { protocol: 'UDP' }))
      const sent = fromWorld(external({ protocol: 'UDP', payload: 'x'.repeat(1450) }))
      assert.deepEqual(asked(sent), ['redirect', UPLINK, `${NODE} > ${WORLD} icmp 3/4`])
      assert.equal(sent.frame.readUInt16BE(40), TEST_HOST.podMtu)
      assert.equal(
        `${formatIP(sent.frame.subarray(54, 58))} ${formatIP(sent.frame.subarray(58, 62))}`,
        `${WORLD} ${NODE}`,
      )
      assert.deepEqual([sent.frame.readUInt16BE(62), sent.frame.readUInt16BE(64)], [services.port, 30_080])
    })

    it('never lead to the tunnel of another node in this one’s name', () => {
      apply(nodePort([NODE_B], { protocol: 'UDP', externalBackends: [backend(NODE_B, GENEVE_PORT)] }))
      assert.equal(fromWorld(external({ protocol: 'UDP' })).reason, 'SpoofedAddress')
    })
  })

  describe('External addresses', () => {
    const EXTERNAL = '198.51.100.200'
    it('serve the world, but only from the source ranges of a load balancer', () => {
      apply(nodePort([B.ip], { ip: EXTERNAL, port: 80, sourceRanges: ['203.0.113.0/24'] }))
      const packet = ask({ destination: EXTERNAL })
      assert.equal(fromWorld(packet).target, B.ifindex)
      assert.equal(fromWorld({ ...packet, source: '192.0.2.66' }).reason, 'ServiceSource')
      assert.equal(fromPod(A, packet).reason, 'ServiceSource')
    })

    it('serve pods of other networks as the world', () => {
      apply(nodePort([B.ip], { ip: EXTERNAL, port: 80 }))
      const sent = fromPod(STRANGER, ask({ destination: EXTERNAL }))
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
    })
  })
})
