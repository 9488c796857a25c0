import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ContainerState, ContainerStatus, Pod, PodStatus } from '../../generated/types/core/v1.ts'
import { podColumns, podRow } from './table.ts'

const NOW = Date.parse('2026-03-01T00:00:00Z')

function minutesAgo(minutes: number): string {
  return new Date(NOW - minutes * 60_000).toISOString()
}

function status(name: string, state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return { name, image: 'web', imageID: '', ready: false, restartCount: 0, state, ...more }
}

function podWith(podStatus: PodStatus, spec: Partial<Pod['spec']> = {}): Pod {
  return {
    metadata: { name: 'web', creationTimestamp: minutesAgo(3) },
    spec: { containers: [{ name: 'a' }], ...spec },
    status: podStatus,
  }
}

const running = status('a', { running: { startedAt: minutesAgo(2) } }, { ready: true })

/** READY, STATUS and RESTARTS of a pod. */
function cells(pod: Pod): unknown[] {
  return podRow(pod, NOW).slice(1, 4)
}

describe('podRow', () => {
  it('has a cell a column', () => assert.equal(podRow(podWith({ phase: 'Pending' }), NOW).length, podColumns.length))

  it('shows a running pod with its wide columns', () => {
    const pod = podWith(
      { phase: 'Running', containerStatuses: [running], podIPs: [{ ip: '10.0.0.7' }] },
      { nodeName: 'n1' },
    )
    assert.deepEqual(podRow(pod, NOW), ['web', '1/1', 'Running', '0', '3m', '10.0.0.7', 'n1', '<none>', '<none>'])
  })

  it('counts readiness gates', () => {
    const conditions = [{ type: 'lb', status: 'True' }]
    const readinessGates = [{ conditionType: 'lb' }, { conditionType: 'other' }]
    assert.equal(podRow(podWith({ phase: 'Running', conditions }, { readinessGates }), NOW).at(-1), '1/2')
  })

  const cases: [string, Pod, unknown[]][] = [
    ['a pending pod', podWith({ phase: 'Pending' }), ['0/1', 'Pending', '0']],
    ['the reason of the pod itself', podWith({ phase: 'Failed', reason: 'Evicted' }), ['0/1', 'Evicted', '0']],
    [
      'a pod that its gates hold back',
      podWith({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
      ['0/1', 'SchedulingGated', '0'],
    ],
    [
      'a crash loop, with the time since the last restart',
      podWith({
        phase: 'Running',
        containerStatuses: [
          status(
            'a',
            { waiting: { reason: 'CrashLoopBackOff' } },
            {
              restartCount: 4,
              lastState: { terminated: { exitCode: 1, finishedAt: minutesAgo(5) } },
            },
          ),
        ],
      }),
      ['0/1', 'CrashLoopBackOff', '4 (5m ago)'],
    ],
    [
      'a pod that completed',
      podWith({
        phase: 'Succeeded',
        containerStatuses: [status('a', { terminated: { exitCode: 0, reason: 'Completed' } })],
      }),
      ['0/1', 'Completed', '0'],
    ],
    [
      'an exit code without a reason',
      podWith({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 3 } })] }),
      ['0/1', 'ExitCode:3', '0'],
    ],
    [
      'a signal without a reason',
      podWith({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 137, signal: 9 } })] }),
      ['0/1', 'Signal:9', '0'],
    ],
    [
      'the first init container that is not done',
      podWith(
        {
          phase: 'Pending',
          initContainerStatuses: [status('i', { terminated: { exitCode: 0 } }), status('j', { running: {} })],
        },
        { initContainers: [{ name: 'i' }, { name: 'j' }] },
      ),
      ['0/1', 'Init:1/2', '0'],
    ],
    [
      'an init container that fails',
      podWith(
        {
          phase: 'Pending',
          initContainerStatuses: [status('i', { waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 2 })],
        },
        { initContainers: [{ name: 'i' }] },
      ),
      ['0/1', 'Init:CrashLoopBackOff', '2'],
    ],
    [
      'a sidecar among the ready containers',
      podWith(
        {
          phase: 'Running',
          initContainerStatuses: [status('s', { running: {} }, { ready: true, started: true, restartCount: 1 })],
          containerStatuses: [running],
        },
        { initContainers: [{ name: 's', restartPolicy: 'Always' }] },
      ),
      ['2/2', 'Running', '1'],
    ],
    [
      'a pod of which one container completed and another is ready',
      podWith(
        {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [status('b', { terminated: { exitCode: 0, reason: 'Completed' } }), running],
        },
        { containers: [{ name: 'b' }, { name: 'a' }] },
      ),
      ['1/2', 'Running', '0'],
    ],
  ]
  for (const [title, pod, want] of cases) {
    it(`shows ${title}`, () => assert.deepEqual(cells(pod), want))
  }

  it('says Terminating while a pod is deleted, unless it has ended', () => {
    const pod = podWith({ phase: 'Running', containerStatuses: [running] })
    pod.metadata.deletionTimestamp = minutesAgo(0)
    assert.equal(podRow(pod, NOW)[2], 'Terminating')
    pod.status = { phase: 'Running', reason: 'NodeLost' }
    assert.equal(podRow(pod, NOW)[2], 'Unknown')
    pod.status = { phase: 'Succeeded' }
    assert.equal(podRow(pod, NOW)[2], 'Succeeded')
  })
})
