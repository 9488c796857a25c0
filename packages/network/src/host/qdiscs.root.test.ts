import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { LimitedPod } from '../qos/plan-qdiscs.ts'
import { ensureClasses, ensureQdiscs, forgetFq, listQdiscs, removeQdiscs } from './qdiscs.ts'

const run = (command: string): string => {
  const [name, ...args] = command.split(' ')
  return execFileSync(name!, args, { encoding: 'utf8', stdio: 'pipe' })
}
const rootOf = async (device: string): Promise<string | undefined> =>
  (await listQdiscs(device)).find(({ root }) => root === true)?.kind
const classes = (): string[] => [...run('tc class show dev eth0').matchAll(/^class htb (\S+)/gm)].map(([, id]) => id!)

if (!isInNamespaces()) {
  describe('the queues of a host', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('the queues of a host', () => {
    beforeEach(() => {
      run('ip link add eth0 type veth peer name other')
      run('ip link set eth0 up')
    })
    afterEach(() => run('ip link delete eth0'))

    it('keep departure times where the kernel has fq, and are HTB where it has none; either way they are there, once', async () => {
      const { mode, problem } = await ensureQdiscs('eth0', { isAsked: true })
      assert.equal(await rootOf('eth0'), mode === 'edt' ? 'fq' : 'htb')
      assert.equal(problem?.reason, mode === 'edt' ? undefined : 'NoFq')
      const before = run('tc qdisc show dev eth0')
      assert.equal((await ensureQdiscs('eth0', { isAsked: true })).mode, mode)
      assert.equal(run('tc qdisc show dev eth0'), before)
    })

    it('are looked at anew by the next daemon, which keeps them, or puts fq in the place of HTB', async () => {
      run('tc qdisc replace dev eth0 root handle ce00: htb default a')
      await ensureClasses('eth0', { bandwidth: undefined, pods: [{ id: 16, level: 7, egressBandwidth: 100e6 }] })
      const before = classes()
      forgetFq()
      const { mode } = await ensureQdiscs('eth0', { isAsked: true })
      if (mode === 'edt') assert.equal(await rootOf('eth0'), 'fq')
      else assert.deepEqual([mode, await rootOf('eth0'), classes()], ['htb', 'htb', before])
    })

    it('have an HTB class for each limited pod, at its level', async () => {
      run('tc qdisc replace dev eth0 root handle ce00: htb default a')
      const pod: LimitedPod = { id: 16, level: 7, egressBandwidth: 100e6 }
      await ensureClasses('eth0', { bandwidth: undefined, pods: [pod, { ...pod, id: 17 }] })
      assert.ok(classes().includes('ce00:110') && classes().includes('ce00:111'))
      await ensureClasses('eth0', { bandwidth: 1e9, pods: [{ ...pod, level: 0, egressBandwidth: 5e6 }] })
      assert.ok(!classes().includes('ce00:111'))
      assert.match(run('tc class show dev eth0'), /class htb ce00:110 parent ce00:f0 .*rate 5Mbit ceil 5Mbit/)
    })

    it('that somebody else set up stay', async () => {
      run('tc qdisc replace dev eth0 root handle 8001: tbf rate 1gbit burst 100k latency 10ms')
      assert.equal((await ensureQdiscs('eth0', { isAsked: true })).problem?.reason, 'ForeignQdisc')
      await removeQdiscs()
      assert.equal(await rootOf('eth0'), 'tbf')
    })

    it('are the default again once ours are taken away', async () => {
      await ensureQdiscs('eth0', { isAsked: true })
      await removeQdiscs()
      assert.equal(await rootOf('eth0'), 'noqueue')
    })
  })
}
