import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { admitPod } from '../pod/admit-pod.ts'
import { observePressure, PRESSURE_TRANSITION_MS, rememberPressure, type PressureMemory } from '../pod/pressure.ts'
import { makePod } from '../testing/pods.ts'
import { evictionMessage, findDiskViolation, formatBinary } from './eviction-plan.ts'

const MIB = 1024 * 1024

describe('limits of disk', () => {
  const limited = { name: 'main', image: 'a', resources: { limits: { 'ephemeral-storage': '2Mi' } } }
  const volumes = [
    { name: 'cache', emptyDir: { sizeLimit: '1Mi' } },
    { name: 'ram', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
  ]
  const check = (emptyDirs: [string, number][], containers: [string, number][], spec: object) =>
    findDiskViolation(makePod(spec), { emptyDirs: new Map(emptyDirs), containers: new Map(containers) })

  it('are told in upstream’s words', () => {
    assert.equal(check([['cache', MIB]], [], { volumes }), undefined)
    assert.equal(check([['ram', 9 * MIB]], [], { volumes }), undefined)
    assert.equal(
      check([['cache', MIB + 1]], [], { volumes }),
      'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ',
    )
    const containers = [limited, { ...limited, name: 'other' }]
    assert.equal(
      check([['cache', 3 * MIB]], [['main', 2 * MIB]], { containers }),
      'Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ',
    )
    assert.equal(
      check([], [['main', 3 * MIB]], { containers }),
      'Container main exceeded its local ephemeral storage limit "2Mi". ',
    )
  })
})

describe('an eviction', () => {
  it('says what was short and who took more than was asked for', () => {
    const pod = makePod({ containers: [{ name: 'main', image: 'a', resources: { requests: { memory: '1Mi' } } }] })
    const shortage = { resource: 'memory', threshold: '100Mi', availableBytes: 50 * MIB } as const
    assert.equal(
      evictionMessage(pod, shortage, new Map([['main', 5 * MIB]])),
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was using 5Mi, request is 1Mi, has larger consumption of memory. ',
    )
    assert.deepEqual([1023, 1024, 1536 * 1024, 0].map(formatBinary), ['1023', '1Ki', '1536Ki', '0'])
  })
})

describe('pressure', () => {
  const limits = { evictionMemoryBytesMin: 100, evictionDiskPercentMin: 10 }
  const well = { memoryAvailableBytes: 100, diskAvailablePercent: 10, inodesAvailablePercent: 5, pidsAvailable: 1000 }

  it('is seen when something is short', () => {
    assert.deepEqual([...observePressure(well, limits)], [])
    assert.deepEqual([...observePressure({ ...well, memoryAvailableBytes: 99 }, limits)], ['MemoryPressure'])
    assert.deepEqual([...observePressure({ ...well, inodesAvailablePercent: 4 }, limits)], ['DiskPressure'])
    assert.deepEqual([...observePressure({ ...well, pidsAvailable: 5 }, limits)], ['PIDPressure'])
  })

  it('is over five minutes after it was seen last', () => {
    let memory: PressureMemory = rememberPressure(new Map(), new Set(['DiskPressure']), 0)
    memory = rememberPressure(memory, new Set(), PRESSURE_TRANSITION_MS - 1)
    assert.deepEqual([...memory.keys()], ['DiskPressure'])
    assert.deepEqual([...rememberPressure(memory, new Set(), PRESSURE_TRANSITION_MS).keys()], [])
  })

  it('keeps new pods away, but for those that matter or asked, as does what the node cannot do', () => {
    const admit = (spec: object, ...pressure: ('MemoryPressure' | 'DiskPressure')[]) => {
      const input = { node: undefined, allocatable: { memory: '1Gi', pods: '10' }, others: [] }
      const answer = admitPod(makePod(spec), { ...input, pressure: new Set(pressure) })
      return answer.admit ? 'admitted' : `${answer.reason}: ${answer.message}`
    }
    const refused = (types: string): string => `Evicted: The node had condition: [${types}]. `
    const burstable = { containers: [{ name: 'a', image: 'a', resources: { requests: { memory: '1Mi' } } }] }
    const rule = { action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } }
    const unsupported = { containers: [{ name: 'a', image: 'a', restartPolicyRules: [rule] }] }
    assert.match(admit(unsupported), /^RestartRuleNotSupported: .*RestartAllContainers is not supported by this node$/)
    assert.equal(admit({}, 'MemoryPressure'), refused('MemoryPressure'))
    assert.equal(admit(burstable, 'MemoryPressure'), 'admitted')
    assert.equal(admit(burstable, 'MemoryPressure', 'DiskPressure'), refused('DiskPressure MemoryPressure'))
    assert.equal(admit({ priority: 2_000_000_000 }, 'DiskPressure'), 'admitted')
  })
})
