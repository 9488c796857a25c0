import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'

const PROGRAMS = ['cat', 'dd', 'echo', 'grep', 'hostname', 'id', 'sh', 'sleep', 'touch', 'tty']
const TIMEOUT_MS = 60_000
const run = promisify(execFile)
const skip = !isInstalled('podman') && 'podman is not installed: apt-get install --no-install-recommends podman conmon'

describe('podman with quark', { skip }, () => {
  let folder: string
  let podman: readonly string[]

  before(async () => {
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    const quark = await buildQuark({ outDir: quarkFolder(), cargo: await findCargo(), report })
    folder = mkdtempSync(join(tmpdir(), 'podman-'))
    for (const name of ['bin', 'etc', 'proc', 'dev', 'sys', 'tmp', 'run'])
      mkdirSync(join(folder, 'rootfs', name), { recursive: true })
    copyFileSync('/bin/busybox', join(folder, 'rootfs/bin/busybox'))
    for (const name of PROGRAMS) symlinkSync('busybox', join(folder, 'rootfs/bin', name))
    const places = ['root', 'runroot', 'tmpdir'].flatMap((name) => [`--${name}`, join(folder, name)])
    podman = ['podman', ...places, '--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', quark]
  })
  after(async () => {
    if (folder === undefined) return
    await call('rm', '--all', '--force', '--time', '0')
    // podman mounts its store's folder on itself, and does not always take that away
    const mounted = readFileSync('/proc/mounts', 'utf8').matchAll(/^\S+ (\S+) /gm)
    for (const [, path] of [...mounted].toReversed())
      if (path!.startsWith(`${folder}/`)) execFileSync('umount', [path!])
    rmSync(folder, { recursive: true, force: true })
  })

  /** Exit code and output of a podman command, however it ends. */
  async function call(...args: string[]): Promise<{ readonly code: number; readonly out: string }> {
    const [command, ...rest] = [...podman, ...args] as [string, ...string[]]
    // conmon leaves a file named "oom" where it was started
    return run(command, rest, { cwd: folder, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' }).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: { code?: number; stdout?: string; stderr?: string }) => ({
        code: error.code ?? -1,
        out: `${error.stdout}${error.stderr}`,
      }),
    )
  }

  async function once(flags: readonly string[], script: string) {
    return call('run', '--rm', ...flags, '--rootfs', join(folder, 'rootfs'), 'sh', '-c', script)
  }

  it('runs programs, and hands on their output and exit codes', async () => {
    assert.deepEqual(await once(['--network', 'none'], 'echo hello; exit 3'), { code: 3, out: 'hello\n' })
    const flags = ['--network', 'host', '--user', '5:6', '--group-add', '7', '--hostname', 'named', '--read-only']
    const { out } = await once(flags, 'id; hostname; touch /x 2>&1; grep -c . /etc/hosts')
    assert.match(out, /^uid=5\S* gid=6\S* groups=6\S*,7\nnamed\n.*Read-only file system\n[1-9]\d*\n$/)
  })

  it('mounts volumes', async () => {
    writeFileSync(join(folder, 'file'), 'from the host\n')
    const volumes = ['-v', `${folder}/file:/file`, '-v', `${folder}/file:/fixed:ro`]
    const { out } = await once(
      ['--network', 'none', ...volumes],
      'cat /file; echo new > /file; cat /fixed; echo > /fixed',
    )
    assert.match(out, /^from the host\nnew\n.*Read-only file system/)
  })

  it('keeps a container going: exec, terminals, pause, stats, logs, stop', async () => {
    const script = 'trap "exit 5" TERM; echo started; while true; do sleep 0.1; done'
    const rootfs = join(folder, 'rootfs')
    const { code, out } = await call(
      'run',
      '-d',
      '--name',
      'd',
      '--network',
      'none',
      '--rootfs',
      rootfs,
      'sh',
      '-c',
      script,
    )
    assert.equal(code, 0, out)
    assert.deepEqual(await call('exec', '-e', 'A=b', '-w', '/tmp', 'd', 'sh', '-c', 'echo $A $PWD; exit 4'), {
      code: 4,
      out: 'b /tmp\n',
    })
    assert.match((await call('exec', '-t', 'd', 'tty')).out, /^\/dev\/pts\/\d/)
    assert.equal((await call('pause', 'd')).code, 0)
    assert.match((await call('ps', '-a', '--format', '{{.Status}}')).out, /^Paused/)
    assert.equal((await call('unpause', 'd')).code, 0)
    assert.match((await call('stats', '--no-stream', '--format', '{{.PIDs}}', 'd')).out, /^[1-9]/)
    assert.equal((await call('stop', 'd')).code, 0)
    assert.equal((await call('inspect', '--format', '{{.State.ExitCode}}', 'd')).out, '5\n')
    assert.equal((await call('logs', 'd')).out, 'started\n')
  })

  it('limits memory', async () => {
    const { out } = await once(
      ['--network', 'none', '--memory', '32m'],
      'sh -c "x=aaaaaaaaaaaaaaaa; while true; do x=\\$x\\$x; done"; echo $?',
    )
    assert.match(out, /137\n$/)
  })

  it('runs the containers of a pod on one kernel', async () => {
    execFileSync('tar', ['-C', join(folder, 'rootfs'), '-cf', join(folder, 'image.tar'), '.'])
    const imported = await call('import', join(folder, 'image.tar'), 'localhost/busybox')
    assert.equal(imported.code, 0, imported.out)
    const infra = ['--infra-image', 'localhost/busybox', '--infra-command', '/bin/sleep 1000', '--network', 'none']
    const created = await call('pod', 'create', '--name', 'pod', ...infra, '--hostname', 'podded')
    assert.equal(created.code, 0, created.out)
    const script = 'echo shared >/dev/shm/file; sleep 1000'
    const first = await call('run', '-d', '--pod', 'pod', '--name', 'first', 'localhost/busybox', 'sh', '-c', script)
    assert.equal(first.code, 0, first.out)
    const second = await call(
      'run',
      '--rm',
      '--pod',
      'pod',
      'localhost/busybox',
      'sh',
      '-c',
      'hostname; cat /dev/shm/file',
    )
    assert.deepEqual(second, { code: 0, out: 'podded\nshared\n' })
    const { out: pid } = await call('inspect', '--format', '{{.State.Pid}}', 'first')
    assert.equal(readFileSync(`/proc/${pid.trim()}/comm`, 'utf8'), 'quark-wait-for\n')
    assert.equal((await call('pod', 'rm', '--force', '--time', '0', 'pod')).code, 0)
  })

  it('runs a container with the processes of another on its kernel', async () => {
    const alone = ['--network', 'none', '--rootfs', join(folder, 'rootfs')]
    const first = await call('run', '-d', '--name', 'seen', ...alone, 'sh', '-c', 'exec sleep 1234')
    assert.equal(first.code, 0, first.out)
    const { out } = await once(['--network', 'none', '--pid', 'container:seen'], 'cat /proc/1/cmdline')
    assert.equal(out, 'sleep\x001234\x00')
  })

  it('refuses namespaces of others', async () => {
    const { code, out } = await once(['--network', 'none', '--ipc', `ns:/proc/${process.pid}/ns/ipc`], 'echo runs')
    assert.notEqual(code, 0)
    assert.match(out, /is not of a container that quark runs: it can't be joined/)
  })

  it('refuses the host’s processes by name', async () => {
    const { code, out } = await once(['--network', 'none', '--pid', 'host'], 'echo runs')
    assert.notEqual(code, 0)
    assert.match(out, /must have one of type pid: the host's processes are out of reach/)
  })
})

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
