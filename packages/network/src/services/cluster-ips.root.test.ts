import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VerdictList } from '../policy/policy-set.ts'
import { ethernet, ipv4, PROTOCOL_NUMBERS, sctpInit, TCP_ACK, TCP_SYN, udp } from '../testing/frames.ts'
import {
  A,
  asked,
  B,
  backend,
  clusterIP,
  describeFrame,
  describeTunnelled,
  GATEWAY,
  GATEWAY_MAC,
  HAIRPIN,
  HOST_DEVICE,
  NODE,
  NODE_B,
  nodePort,
  OPEN,
  pod,
  portOf,
  REMOTE,
  SERVICE,
  STRANGER,
  tunnelled,
  UPLINK,
  useServiceHost,
} from '../testing/service-host.ts'

describe('Services in the kernel, by their addresses', () => {
  const services = useServiceHost()
  const { apply, ask, fromHost, fromPod, fromWorld } = services

  describe('ClusterIPs', () => {
    it('lead a pod to a backend of this host, and its answers come from the service', () => {
      apply(clusterIP([B.ip]))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', B.ifindex, `${A.ip}:${services.port} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: A.ip, destinationPort: services.port, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${services.port}`])
    })

    it('lead to a backend on another host; answers are translated in XDP and tcx alike', () => {
      apply(clusterIP([REMOTE]))
      const sent = fromPod(A, ask())
      assert.deepEqual(
        [sent.target, describeTunnelled(sent.frame)],
        [UPLINK, `${NODE_B} [${A.ip}:${services.port} > ${REMOTE}:8080]`],
      )
      const answer = {
        source: REMOTE,
        sourcePort: 8080,
        destination: A.ip,
        destinationPort: services.port,
        flags: TCP_SYN | TCP_ACK,
      }
      for (const program of ['from_uplink', 'from_uplink_xdp'] as const)
        assert.deepEqual(asked(services.host.run(program, tunnelled(answer))), [
          'redirect',
          A.ifindex,
          `${SERVICE}:80 > ${A.ip}:${services.port}`,
        ])
    })

    it('belong to their network: a pod of another one does not reach them', () => {
      apply(clusterIP([B.ip]))
      const { verdict, target, frame } = fromPod(STRANGER, ask())
      assert.deepEqual(
        [verdict, target, describeFrame(frame)],
        ['redirect', HOST_DEVICE, `${STRANGER.ip}:${services.port} > ${SERVICE}:80`],
      )
      const forwarded = services.host.run('from_host', frame, { forwardedFrom: HOST_DEVICE })
      assert.equal(forwarded.reason, 'NoRoute')
    })

    it('keep a flow with its backend, and spread flows over all', () => {
      const backends = [B.ip, REMOTE, '10.244.2.21']
      apply(clusterIP(backends))
      const chosen = Array.from({ length: 60 }, (_, i) => {
        const first = fromPod(A, ask({ sourcePort: services.port + i }))
        const next = fromPod(A, ask({ sourcePort: services.port + i, flags: TCP_ACK }))
        assert.equal(next.target, first.target)
        return describeFrame(first.frame, first.target === UPLINK ? 72 : 14).split(' > ')[1]
      })
      assert.deepEqual([...new Set(chosen)].sort(), backends.map((ip) => `${ip}:8080`).sort())
    })

    it('cost a new flow two look-ups more than a direct one, its later packets one more', () => {
      apply(clusterIP([B.ip]))
      const direct = ask({ destination: B.ip, destinationPort: 9090 })
      const newDirect = fromPod(A, direct).lookups
      const nextDirect = fromPod(A, { ...direct, flags: TCP_ACK }).lookups
      const newFlow = fromPod(A, ask()).lookups
      const next = fromPod(A, ask({ flags: TCP_ACK })).lookups
      assert.deepEqual([newFlow - newDirect, next - nextDirect], [2, 1])
    })

    it('carry UDP and its checksums, and SCTP with its CRC', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }), clusterIP([B.ip], { protocol: 'SCTP', name: 'default/web:sctp' }))
      assert.deepEqual(asked(fromPod(A, ask({ protocol: 'UDP' }))), [
        'redirect',
        B.ifindex,
        `${A.ip}:${services.port} > ${B.ip}:8080`,
      ])
      const { frame } = fromPod(A, ask({ protocol: 'SCTP' }))
      assert.equal(describeFrame(frame), `${A.ip}:${services.port} > ${B.ip}:8080`)
      const expected = sctpInit({ sourcePort: services.port, destinationPort: 8080 })
      assert.equal(frame.subarray(34, 66).toString('hex'), expected.toString('hex'))
    })

    it('keep a UDP datagram without checksum without one', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      const datagram = udp({ sourcePort: services.port, destinationPort: 80 }, Buffer.from('x'))
      const packet = ipv4({ source: A.ip, destination: SERVICE, protocol: PROTOCOL_NUMBERS.UDP }, datagram)
      const { frame } = services.host.run('from_pod', ethernet({ source: A.mac, destination: GATEWAY_MAC }, packet), {
        ifindex: A.ifindex,
      })
      assert.deepEqual([describeFrame(frame), frame.readUInt16BE(40)], [`${A.ip}:${services.port} > ${B.ip}:8080`, 0])
    })

    it('let a pod reach itself, which sees another source', () => {
      apply(clusterIP([A.ip]))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', A.ifindex, `${HAIRPIN}:${services.port} > ${A.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: HAIRPIN,
        destinationPort: services.port,
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(A, answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${services.port}`])
    })

    it('lead this host to pods here and elsewhere', () => {
      apply(clusterIP([B.ip]))
      const packet = { source: GATEWAY, ...ask() }
      assert.deepEqual(asked(fromHost(packet)), ['redirect', B.ifindex, `${GATEWAY}:${services.port} > ${B.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: GATEWAY,
        destinationPort: services.port,
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(B, answer)), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${services.port}`,
      ])
      apply(clusterIP([REMOTE]))
      const sent = fromHost({ ...packet, sourcePort: services.port + 1 })
      assert.equal(describeTunnelled(sent.frame), `${NODE_B} [${GATEWAY}:${services.port + 1} > ${REMOTE}:8080]`)
      const remote = {
        source: REMOTE,
        sourcePort: 8080,
        destination: GATEWAY,
        destinationPort: services.port + 1,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(services.host.run('from_uplink', tunnelled(remote))), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${services.port + 1}`,
      ])
    })

    it('lead this host to pods of a network with addresses of its own, which know it by the node’s', () => {
      const own = 9
      services.host.tables.setRoute({ domain: own, cidr: '10.50.0.0/26', node: NODE_B })
      apply(clusterIP(['10.50.0.5'], { vni: own }))
      const sent = fromHost({ source: GATEWAY, ...ask() })
      const [source = '', destination] = describeFrame(sent.frame, 72).split(' > ')
      assert.deepEqual([source.split(':')[0], destination], [NODE, '10.50.0.5:8080'])
      const answer = {
        source: '10.50.0.5',
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(services.host.run('from_uplink', tunnelled(answer, { vni: own }))), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${services.port}`,
      ])
      services.host.tables.removeRoute({ domain: own, cidr: '10.50.0.0/26' })
    })

    it('lead pods and this host to nodes, such as the API server', () => {
      apply(clusterIP([NODE_B], { backends: [backend(NODE_B, 6443)] }))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', HOST_DEVICE, `${A.ip}:${services.port} > ${NODE_B}:6443`])
      const answer = {
        source: NODE_B,
        sourcePort: 6443,
        destination: A.ip,
        destinationPort: services.port,
        flags: TCP_ACK | TCP_SYN,
      }
      assert.deepEqual(asked(fromHost(answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${services.port}`])
      const sent = fromHost({ source: GATEWAY, ...ask() })
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:6443`])
      const back = fromWorld({
        source: NODE_B,
        sourcePort: 6443,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      })
      assert.deepEqual(asked(back), ['redirect', HOST_DEVICE, `${SERVICE}:80 > ${GATEWAY}:${services.port}`])
    })

    it('lead pods of a network with addresses of its own to nodes, which know them by their address here', () => {
      const vni = 9
      const own = { ...pod(13, vni), ip: '10.50.0.5', hostIP: '169.254.64.5', routeDomain: vni, blockPrefix: 26 }
      services.host.tables.setEndpoint(own)
      for (const node of [NODE_B, NODE]) {
        apply(clusterIP([node], { vni, backends: [backend(node, 6443)] }))
        assert.deepEqual(asked(fromPod(own, ask())), [
          'redirect',
          HOST_DEVICE,
          `${own.hostIP}:${services.port} > ${node}:6443`,
        ])
        const answer = {
          source: node,
          sourcePort: 6443,
          destination: own.hostIP,
          destinationPort: services.port,
          flags: TCP_ACK | TCP_SYN,
        }
        assert.deepEqual(asked(fromHost(answer)), [
          'redirect',
          own.ifindex,
          `${SERVICE}:80 > ${own.ip}:${services.port}`,
        ])
      }
      services.host.tables.removeEndpoint(own)
    })

    it('lead this host to itself by way of another source, so that answers pass here', () => {
      apply(clusterIP([NODE], { backends: [backend(NODE, 6443)] }))
      assert.deepEqual(asked(fromHost({ source: GATEWAY, ...ask() })), [
        'redirect',
        HOST_DEVICE,
        `${HAIRPIN}:${services.port} > ${NODE}:6443`,
      ])
      const answer = {
        source: NODE,
        sourcePort: 6443,
        destination: HAIRPIN,
        destinationPort: services.port,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromHost(answer)), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${services.port}`,
      ])
    })
  })

  describe('Policies', () => {
    const DENY: VerdictList = OPEN.map((segment) => ({ ...segment, allow: false, rule: 77 }))
    const only = (port: number): VerdictList =>
      OPEN.flatMap((segment) =>
        segment.protocol === 'TCP'
          ? [
              { ...segment, lastPort: port - 1, allow: false, rule: 77 },
              { ...segment, firstPort: port, lastPort: port },
              { ...segment, firstPort: port + 1, allow: false, rule: 77 },
            ]
          : [segment],
      )

    it('see the address and port of the backend, and the world behind a node port', () => {
      const restrict = (key: string, others: VerdictList): void => {
        const set = { byIdentity: new Map(), others, cidrs: [] }
        const egress = { isolated: false, toPods: OPEN, outside: { others: OPEN, cidrs: [] } }
        const policySet = services.host.tables.addPolicySet({ key, ingress: set, egressOfPeers: new Map(), egress })
        services.host.tables.setEndpoint({ ...B, policySet })
      }
      apply(clusterIP([B.ip]), nodePort([B.ip], { name: 'default/np:http' }))
      restrict('only 8080', only(8080))
      assert.equal(fromPod(A, ask()).target, B.ifindex)
      assert.equal(fromWorld(ask({ destination: NODE, destinationPort: 30_080 })).target, B.ifindex)
      restrict('only 80', only(80))
      assert.equal(fromPod(A, ask({ sourcePort: services.port + 1 })).reason, 'PolicyIngress')
      restrict('nobody', DENY)
      assert.equal(fromPod(A, ask({ flags: TCP_ACK })).reason, 'PolicyIngress')
      assert.equal(
        fromWorld(ask({ destination: NODE, destinationPort: 30_080, flags: TCP_ACK })).reason,
        'PolicyIngress',
      )
      services.host.tables.setEndpoint(B)
    })
  })
})
