import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { QUARK_SOURCES } from '@centaurus/sandbox'
import { diffCase, parseDiffering, parseTranscript } from '@centaurus/sandbox/testing'
import { type Guest, startGuest } from './guest.ts'
import { SandboxBundles } from './testing/sandbox-bundles.ts'
import { openTestKernel, type TestKernel } from './testing/test-kernel.ts'

const SERIES = '6.1'
/** Areas of cases that look at no clock but to wait: an emulated processor is late. */
const AREAS = /^(credentials|files|folders|links|memory|metadata|pipes)::/
/** What Linux 6.1 has not, and our kernel has. */
const NEWER = new Set(['links::link_modes' /* fchmodat2: 6.6 */, 'metadata::attributes' /* user.* of a tmpfs: 6.6 */])
const LIMITS = {
  memory: { limit: 48 * 2 ** 20 },
  pids: { limit: 50 },
  cpu: { quota: 20_000, period: 100_000, shares: 512 },
}
/** 64 MiB. */
const TOO_MUCH = 'sh -c "x=aaaaaaaaaaaaaaaa; while [ \\${#x} -lt 67108864 ]; do x=\\$x\\$x; done"; echo after $?'
const SMALL = { memory: { limit: 32 * 2 ** 20 } }
/** For scripts of the guest: `q` is the runtime with a state folder and a log, `await` waits for a container's status. */
const PRELUDE = `
q() { "$QUARK" --root /run/quark-test --log /run/quark-test.log "$@"; }
await() { for i in $(seq 200); do q state "$1" | grep -q "\\"$2\\"" && return; sleep 0.1; done; echo "$1 is not $2"; exit 1; }
show() { for file in "$@"; do echo "$file $(cat "$file")"; done; }
rm -f /run/quark-test.log
`
/** Each controller of version 1 mounted alone, and version 2 without controllers beside them, as systemd had it. */
const HYBRID = `
umount /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup; cd /sys/fs/cgroup
for one in memory pids cpu cpuacct cpuset; do mkdir $one; mount -t cgroup -o $one none $one; done
mkdir unified; mount -t cgroup2 none unified; cd /
`

describe('quark on Debian’s kernel', { timeout: 600_000 }, () => {
  let found: TestKernel
  let bundles: SandboxBundles
  /** For tests that leave it as it was. */
  let shared: Guest | undefined
  before(async () => {
    found = await openTestKernel(SERIES)
    if (found.kernel === undefined) return
    bundles = await SandboxBundles.create()
    shared = await startGuest({ kernel: found.kernel })
  })
  after(async () => {
    await shared?.close()
    bundles?.close()
  })

  /** Runs a script in a guest; throws for an exit code but 0. */
  async function run(guest: Guest, script: string, bundle?: string): Promise<string> {
    const env = { QUARK: bundles.quark, BUNDLE: bundle ?? '' }
    const { code, stdout, stderr } = await guest.run(['sh', '-c', PRELUDE + script], { env })
    assert.equal(code, 0, `${stdout}\n${stderr}`)
    return stdout
  }

  async function open(t: TestContext): Promise<Guest | undefined> {
    if (found.kernel !== undefined) return startGuest({ kernel: found.kernel })
    t.skip(found.why)
    return undefined
  }

  function take(t: TestContext): Guest | undefined {
    if (shared === undefined) t.skip(found.why)
    return shared
  }

  it('runs a container’s life, in a cgroup of version 2', async (t) => {
    const guest = take(t)
    if (guest === undefined) return
    const script = 'trap "exit 9" TERM; echo up; while true; do sleep 0.1; done'
    const bundle = bundles.add('life', { script, resources: LIMITS, cgroupsPath: '/pod/life' })
    const output = await run(
      guest,
      `q create --bundle $BUNDLE --pid-file /run/pid life > /run/out 2>&1
      cat /proc/$(cat /run/pid)/cgroup; q start life
      until grep -q up /run/out; do sleep 0.1; done
      cd /sys/fs/cgroup/pod/life; show memory.max pids.max cpu.max cpu.weight
      q exec life sh -c 'cat /sys/fs/cgroup/memory.max; echo in exec; exit 4'; echo exec $?
      q pause life; await life paused; q resume life; await life running
      q events --stats life | grep -o '"type":"stats"'
      q update --memory 67108864 --pids-limit 60 life; show memory.max pids.max
      q ps --format json life | grep -q '[0-9]' && echo has processes
      q kill life TERM; await life stopped; q delete life; ls -d /sys/fs/cgroup/pod/life 2>&1 || true`,
      bundle,
    )
    assert.deepEqual(output.trim().split('\n'), [
      '0::/pod/life',
      `memory.max ${48 * 2 ** 20}`,
      // a process of ours for each of the guest, and some more
      'pids.max 132',
      'cpu.max 20000 100000',
      'cpu.weight 20',
      `${48 * 2 ** 20}`,
      'in exec',
      'exec 4',
      '"type":"stats"',
      'memory.max 67108864',
      'pids.max 152',
      'has processes',
      "ls: cannot access '/sys/fs/cgroup/pod/life': No such file or directory",
    ])
  })

  it('keeps limits of memory, processes and processor time, and tells of memory kills', async (t) => {
    const guest = take(t)
    if (guest === undefined) return
    const memory = bundles.add('memory', { script: TOO_MUCH, resources: SMALL, cgroupsPath: '/pod/memory' })
    const killed = await run(
      guest,
      `q create --bundle $BUNDLE memory > /run/out 2>&1; q events memory > /run/events & q start memory; wait
      cat /run/out /sys/fs/cgroup/pod/memory/memory.events; grep -o '"type":"oom"' /run/events; q delete memory`,
      memory,
    )
    assert.match(killed, /^Killed\nafter 137\n[^]*\noom_kill 1\n[^]*"type":"oom"\n$/)

    const forks = 'for i in $(seq 40); do sleep 2 & done; wait'
    const pids = bundles.add('pids', { script: forks, resources: { pids: { limit: 30 } }, cgroupsPath: '/pod/pids' })
    const refused = await run(guest, 'q run --bundle $BUNDLE pids 2>&1; echo ended $?', pids)
    assert.match(refused, /can't fork/)

    const busy = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'
    const quota = { cpu: { quota: 20_000, period: 100_000 } }
    const cpu = bundles.add('cpu', { script: busy, resources: quota, cgroupsPath: '/pod/cpu' })
    const throttled = await run(
      guest,
      `q create --bundle $BUNDLE cpu > /dev/null 2>&1; q start cpu; await cpu stopped
      grep nr_throttled /sys/fs/cgroup/pod/cpu/cpu.stat; q delete cpu`,
      cpu,
    )
    assert.match(throttled, /^nr_throttled [1-9]/)
  })

  it('says what version 2 doesn’t limit: below a cgroup with processes, and where nothing can be made', async (t) => {
    await using guest = await open(t)
    if (guest === undefined) return
    const beside = bundles.add('beside', { script: 'cat /sys/fs/cgroup/memory.max', resources: SMALL })
    const below = bundles.add('below', { script: 'echo runs', resources: SMALL, cgroupsPath: '/user/session/below' })
    const enter = 'mkdir -p /sys/fs/cgroup/user/session; echo $$ > /sys/fs/cgroup/user/session/cgroup.procs; '
    const delegated = await run(guest, `${enter} q run --bundle $BUNDLE beside; cat /run/quark-test.log`, beside)
    assert.doesNotMatch(delegated, /No limit/)
    const log = await run(guest, `${enter} q run --bundle $BUNDLE below; cat /run/quark-test.log`, below)
    assert.match(log, /^runs\n/)
    assert.match(log, /No limit by \\"memory.max\\": .*has no controller \\"memory\\" from .*processes of its own/)
    const readOnly = await run(
      guest,
      'mount -o remount,ro /sys/fs/cgroup; q run --bundle $BUNDLE below; cat /run/quark-test.log',
      below,
    )
    assert.match(readOnly, /^runs\n[^]*No limits by the controller \\"unified\\": cannot make .*Read-only file system/)
  })

  it('limits by version 1 where both are mounted, and by nothing where none is', async (t) => {
    await using guest = await open(t)
    if (guest === undefined) return
    const bundle = bundles.add('both', { script: TOO_MUCH, resources: SMALL, cgroupsPath: '/pod/both' })
    const killed = await run(
      guest,
      `${HYBRID} q create --bundle $BUNDLE both > /run/out 2>&1; q events both > /run/events & q start both; wait
      cat /run/out; cd /sys/fs/cgroup/memory/pod/both; show memory.limit_in_bytes; grep oom_kill memory.oom_control
      grep -o '"type":"oom"' /run/events; q delete both; ls -d $PWD 2>&1 || true`,
      bundle,
    )
    assert.match(killed, /^Killed\nafter 137\nmemory.limit_in_bytes 33554432\n[^]*oom_kill 1\n"type":"oom"\nls: cannot/)
    const none = 'umount -R /sys/fs/cgroup; q run --bundle $BUNDLE both; cat /run/quark-test.log'
    const log = await run(guest, none, bundle)
    assert.match(log, /^after 0\n[^]*No limit of memory: the host's cgroups have no controller \\"memory\\"/)
  })

  it('says why it can’t run, and what to change', async (t) => {
    const guest = take(t)
    if (guest === undefined) return
    const bundle = bundles.add('refused', { script: 'echo runs' })
    const attempts: readonly [before: string, expected: RegExp, command?: string][] = [
      [
        'mkdir -p /run/s; sysctl -qw kernel.yama.ptrace_scope=2',
        /ptrace_scope is 2.*sysctl -w kernel.yama.ptrace_scope=1/,
      ],
      ['sysctl -qw kernel.yama.ptrace_scope=1', /^runs$/],
      ['sysctl -qw user.max_user_namespaces=0', /raise the sysctl user.max_user_namespaces/],
      ['sysctl -qw user.max_user_namespaces=99 user.max_pid_namespaces=0', /sysctl user.max_pid_namespaces/],
      ['sysctl -qw user.max_pid_namespaces=99', /must run as root/, 'setpriv --reuid 1000 --clear-groups'],
      ['mount -t tmpfs -o noexec none /run/s', /^runs$/],
      ['mount -t tmpfs -o size=4k none /run/s', /No space left on device/],
    ]
    for (const [prepare, expected, as = ''] of attempts) {
      const command = `${prepare}; ${as} "$QUARK" --root /run/s run --bundle $BUNDLE x 2>&1; ls -A /run/s 1>&2; true`
      const { stdout, stderr } = await guest.run(['sh', '-c', command], {
        env: { QUARK: bundles.quark, BUNDLE: bundle },
      })
      assert.match(stdout.trim(), expected, prepare)
      assert.equal(stderr, '', `${prepare}: nothing is left behind`)
    }
  })

  it('answers system calls as this kernel does', async (t) => {
    const guest = take(t)
    if (guest === undefined) return
    const known = parseDiffering(readFileSync(join(QUARK_SOURCES, 'guests/differing.txt'), 'utf8'))
    const cases = bundles.cases.filter((name) => AREAS.test(name) && !known.has(name))
    const bundle = bundles.addCases('cases', cases)
    const native = parseTranscript(await run(guest, 'runc --root /run/runc run --bundle $BUNDLE n 2>&1; true', bundle))
    const quark = parseTranscript(await run(guest, 'q run --bundle $BUNDLE x 2>&1', bundle))
    assert.equal(native.results.size, cases.length)
    const differing = cases.filter((name) => diffCase(native.results.get(name)!, quark.results.get(name)).length > 0)
    assert.deepEqual(differing.sort(), [...NEWER].sort())
  })
})
