import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container, PodSpec } from '@centaurus/api/core/v1'
import { findBaselineViolations } from './pod-security.ts'

const check = (spec: Partial<PodSpec>, container: Partial<Container> = {}): string[] =>
  findBaselineViolations({
    metadata: { name: 'p' },
    spec: { ...spec, containers: [{ name: 'c', image: 'i', ...container }] },
  })

describe('the baseline of pod security', () => {
  it('lets through what most pods are', () => {
    const securityContext = {
      capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
      allowPrivilegeEscalation: true,
      runAsUser: 0,
    }
    const spec = {
      volumes: [{ name: 'v', emptyDir: {} }],
      securityContext: { sysctls: [{ name: 'net.ipv4.tcp_syncookies', value: '1' }] },
    }
    const probe = { httpGet: { port: 80, path: '/' } }
    assert.deepEqual(check(spec, { securityContext, ports: [{ containerPort: 80 }], livenessProbe: probe }), [])
  })

  it('names each way to the node', () => {
    for (const [spec, container, why] of [
      [{ hostNetwork: true, hostPID: true }, {}, 'host namespaces (hostNetwork=true, hostPID=true)'],
      [{ volumes: [{ name: 'v', hostPath: { path: '/' } }] }, {}, 'hostPath volumes (volume "v")'],
      [
        {},
        { securityContext: { privileged: true } },
        'privileged (container "c" must not set securityContext.privileged=true)',
      ],
      [
        {},
        { securityContext: { capabilities: { add: ['SYS_ADMIN', 'CHOWN'] } } },
        'non-default capabilities (container "c" must not include "SYS_ADMIN" in securityContext.capabilities.add)',
      ],
      [{}, { ports: [{ containerPort: 1, hostPort: 2 }] }, 'hostPort (container "c" uses hostPort 2)'],
      [
        {},
        { livenessProbe: { httpGet: { port: 80, host: '10.0.0.1' } } },
        'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
      ],
      [
        { securityContext: { seccompProfile: { type: 'Unconfined' } } },
        {},
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
      ],
      [
        { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } },
        {},
        'forbidden sysctls (kernel.msgmax)',
      ],
      [
        {},
        { securityContext: { procMount: 'Unmasked' } },
        'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
      ],
      [
        {},
        { securityContext: { seLinuxOptions: { role: 'r' } } },
        'seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions)',
      ],
    ] as const)
      assert.deepEqual(check(spec as Partial<PodSpec>, container as Partial<Container>), [why])
  })

  it('looks at every container', () => {
    const bad = { name: 'x', image: 'i', securityContext: { privileged: true } }
    assert.equal(check({ initContainers: [bad], ephemeralContainers: [{ ...bad, name: 'y' }] }).length, 2)
  })
})
