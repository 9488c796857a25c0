import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deviceNameOf, macOf, type Attachment } from './attachment.ts'
import { CniError, formatCniError, type CniErrorCode } from './cni-error.ts'
import { answerVersionOf, parseCniCall, type CniEnvironment } from './cni-request.ts'
import { formatCniResult } from './cni-result.ts'

const environment: CniEnvironment = {
  containerId: 'c1',
  netns: '/run/netns/cni-1',
  ifname: 'eth0',
  args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=acme--shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=b1f0',
}
const network = { cniVersion: '1.0.0', name: 'centaurus', type: 'centaurus' }

function parse(command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS', config: object, env: Partial<CniEnvironment> = {}) {
  return parseCniCall(command, { ...environment, ...env }, JSON.stringify({ ...network, ...config }))
}

describe('parseCniCall', () => {
  it('reads an ADD as containerd sends it', () => {
    const runtimeConfig = {
      portMappings: [
        { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }, // containerd's
        { hostPort: 53, containerPort: 5353, protocol: 'UDP', hostIP: '192.0.2.7' },
        { hostPort: 0, containerPort: 9000, protocol: 'TCP', hostIP: '' },
        { hostPort: 81, containerPort: 81, hostIP: '0.0.0.0' },
      ],
    }
    assert.deepEqual(parse('ADD', { runtimeConfig, dns: { nameservers: ['10.96.0.10'] } }), {
      command: 'ADD',
      key: { containerId: 'c1', ifname: 'eth0' },
      netns: '/run/netns/cni-1',
      pod: { namespace: 'acme--shop', name: 'web-0', uid: 'b1f0' },
      config: {
        cniVersion: '1.0.0',
        name: 'centaurus',
        hostPorts: [
          { protocol: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined },
          { protocol: 'udp', hostPort: 53, containerPort: 5353, hostIP: '192.0.2.7' },
          { protocol: 'tcp', hostPort: 81, containerPort: 81, hostIP: undefined },
        ],
        dns: { nameservers: ['10.96.0.10'] },
        previousAddresses: undefined,
        validAttachments: undefined,
      },
    })
  })

  it('takes a DEL without a network namespace and without a pod', () => {
    assert.deepEqual(parse('DEL', {}, { netns: undefined, args: undefined }).command, 'DEL')
  })

  it('reads what CHECK and GC are told', () => {
    const prevResult = { ips: [{ address: '10.244.3.2/32' }] }
    assert.deepEqual(parse('CHECK', { prevResult }).config.previousAddresses, ['10.244.3.2/32'])
    const gc = parse('GC', {
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }],
    })
    assert.deepEqual(gc.command === 'GC' && gc.valid, [{ containerId: 'c1', ifname: 'eth0' }])
  })

  const refused: readonly [title: string, run: () => unknown, code: CniErrorCode, message: RegExp][] = [
    ['no JSON', () => parseCniCall('ADD', environment, '{'), 'undecodable', /no JSON/],
    ['no object', () => parseCniCall('ADD', environment, '[]'), 'undecodable', /must be a JSON object/],
    [
      'an old version',
      () => parse('ADD', { cniVersion: '0.3.1' }),
      'incompatibleVersion',
      /"0.3.1".*0.4.0, 1.0.0, 1.1.0/,
    ],
    ['no version', () => parse('ADD', { cniVersion: undefined }), 'incompatibleVersion', /"0.1.0"/],
    ['no name', () => parse('ADD', { name: '' }), 'invalidConfig', /"name"/],
    ['GC of an old version', () => parse('GC', { 'cni.dev/valid-attachments': [] }), 'incompatibleVersion', /GC needs/],
    ['STATUS of an old version', () => parse('STATUS', {}), 'incompatibleVersion', /STATUS needs/],
    ['GC without a list', () => parse('GC', { cniVersion: '1.1.0' }), 'invalidConfig', /valid-attachments/],
    [
      'GC with a wrong list',
      () => parse('GC', { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [{ containerID: 'c1' }] }),
      'invalidConfig',
      /must have a "containerID" and an "ifname"/,
    ],
    [
      'no container',
      () => parse('DEL', {}, { containerId: undefined }),
      'invalidEnvironment',
      /CNI_CONTAINERID is undefined/,
    ],
    ['a strange container', () => parse('ADD', {}, { containerId: '../x' }), 'invalidEnvironment', /CNI_CONTAINERID/],
    [
      'a long device',
      () => parse('ADD', {}, { ifname: 'a-device-with-a-long-name' }),
      'invalidEnvironment',
      /CNI_IFNAME/,
    ],
    ['a device with a blank', () => parse('ADD', {}, { ifname: 'eth0 up' }), 'invalidEnvironment', /CNI_IFNAME/],
    ['no namespace', () => parse('ADD', {}, { netns: undefined }), 'invalidEnvironment', /CNI_NETNS/],
    [
      'two lines for a namespace',
      () => parse('CHECK', {}, { netns: '/a\nlink del eth0' }),
      'invalidEnvironment',
      /CNI_NETNS/,
    ],
    ['no pod', () => parse('ADD', {}, { args: 'IgnoreUnknown=1' }), 'invalidEnvironment', /K8S_POD_NAMESPACE/],
    [
      'a port beyond all',
      () => parsePort({ hostPort: 70_000, containerPort: 80 }),
      'invalidConfig',
      /ports from 1 to 65535/,
    ],
    ['no container port', () => parsePort({ hostPort: 80 }), 'invalidConfig', /ports from 1/],
    [
      'a protocol without ports',
      () => parsePort({ hostPort: 80, containerPort: 80, protocol: 'icmp' }),
      'invalidConfig',
      /tcp, udp, sctp/,
    ],
    [
      'an IPv6 host address',
      () => parsePort({ hostPort: 80, containerPort: 80, hostIP: 'fd00::1' }),
      'unsupportedField',
      /no IPv4 address/,
    ],
    [
      'ports that are no list',
      () => parse('ADD', { runtimeConfig: { portMappings: {} } }),
      'invalidConfig',
      /must be a list/,
    ],
  ]
  for (const [title, run, code, message] of refused) {
    it(`refuses ${title}`, () => assert.throws(run, { code, message }))
  }
})

function parsePort(mapping: object): unknown {
  return parse('ADD', { runtimeConfig: { portMappings: [mapping] } })
}

describe('answers in CNI’s JSON', () => {
  const attachment: Attachment = {
    phase: 'ready',
    containerId: 'c1',
    namespace: 'default',
    name: 'web-0',
    uid: undefined,
    vpc: 'default',
    vni: 7,
    routeDomain: 0,
    blockPrefix: 24,
    ip: '10.244.3.2',
    hostIP: '10.244.3.2',
    mac: macOf('10.244.3.2'),
    device: deviceNameOf('c1', 'eth0'),
    ifindex: 12,
    netns: '/run/netns/cni-1',
    ifname: 'eth0',
    mtu: 1442,
    hostPorts: [],
    createdAtMs: 0,
  }

  it('are results in the version that was asked for', () => {
    const result = (cniVersion: '0.4.0' | '1.0.0' | '1.1.0') =>
      JSON.parse(formatCniResult(attachment, { cniVersion, dns: undefined })) as Record<string, unknown>
    const ip = { interface: 1, address: '10.244.3.2/32', gateway: '169.254.1.1' }
    assert.deepEqual(result('1.0.0'), {
      cniVersion: '1.0.0',
      interfaces: [
        { name: attachment.device, mac: '02:ce:47:00:00:01' },
        { name: 'eth0', mac: '0a:ce:0a:f4:03:02', sandbox: '/run/netns/cni-1' },
      ],
      ips: [ip],
      routes: [{ dst: '0.0.0.0/0', gw: '169.254.1.1' }],
      dns: {},
    })
    assert.deepEqual(result('0.4.0')['ips'], [{ version: '4', ...ip }])
    assert.deepEqual(result('1.1.0')['ips'], [ip])
  })

  it('are errors with a code, and with the causes as details', () => {
    const cause = new Error('RTNETLINK answers: File exists', { cause: new Error('deeper') })
    const text = formatCniError(new CniError('tryAgainLater', 'Wait', { cause }), '1.0.0')
    assert.deepEqual(JSON.parse(text), {
      cniVersion: '1.0.0',
      code: 11,
      msg: 'Wait',
      details: 'RTNETLINK answers: File exists: deeper',
    })
    assert.deepEqual(JSON.parse(formatCniError(new Error('Odd'), '0.4.0')), {
      cniVersion: '0.4.0',
      code: 100,
      msg: 'Odd',
    })
  })

  it('are in a version that everybody reads when the question could not be read', () => {
    assert.equal(answerVersionOf('{"cniVersion":"0.4.0"}'), '0.4.0')
    for (const body of ['', '{', '{"cniVersion":"7"}', '[]']) assert.equal(answerVersionOf(body), '1.0.0')
  })
})
