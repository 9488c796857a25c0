import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { systemPodHost } from '../host/pod-host.ts'
import { deletionsDir } from './deletion-spool.ts'
import { installPlugins } from './shim.ts'
import { startTestDaemon } from './testing/start-daemon.ts'

const POD_CIDR = '10.244.3.0/24'
/** Room for a few pods: a file takes a page. */
const DISK = '128k'

describe('attaching pods with a full disk', () => {
  if (!isInNamespaces()) {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
    return
  }
  let folder: string
  let plugins: string
  let daemon: ChildProcess
  const filler = (): string => join(folder, 'filler')
  const ip = (line: string): string => execFileSync('ip', line.split(' '), { encoding: 'utf8' })
  const call = async (command: string, name: string): Promise<string> => {
    const child = spawn(join(plugins, 'centaurus'), {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: name,
        CNI_NETNS: `/run/netns/${name}`,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    child.stdin.end('{"cniVersion":"1.0.0","name":"centaurus","type":"centaurus"}')
    const [code] = (await once(child, 'close')) as [number]
    return `${code} ${output}`
  }
  const attach = async (name: string): Promise<string> => {
    ip(`netns add ${name}`)
    const answer = await call('ADD', name)
    return /"address":"([\d.]+)\/32"/.exec(answer)?.[1] ?? answer
  }
  const restart = async (): Promise<void> => {
    daemon.kill('SIGKILL')
    await once(daemon, 'close')
    daemon = await startTestDaemon({ folder, podCIDR: POD_CIDR })
  }
  /** Of whom both the device is there and the file says so. */
  const attachedNow = async (): Promise<string[]> => {
    const devices = await systemPodHost.listDevices()
    const texts = readdirSync(join(folder, 'pods')).map((file) => readFileSync(join(folder, 'pods', file), 'utf8'))
    const records = texts.map((text) => JSON.parse(text) as { phase: string; device: string; name: string })
    const ready = records.filter(({ phase, device }) => phase === 'ready' && devices.has(device))
    assert.equal(ready.length, devices.size)
    return ready.map(({ name }) => name).toSorted()
  }
  const fill = (): void => {
    const file = openSync(filler(), 'w')
    assert.throws(() => {
      for (;;) writeSync(file, Buffer.alloc(4096, 1))
    }, /ENOSPC/)
    closeSync(file)
  }

  before(async () => {
    isolateHost()
    folder = mkdtempSync('/tmp/centaurus-full-')
    plugins = mkdtempSync('/tmp/centaurus-plugins-')
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', folder])
    await installPlugins(plugins, { socket: join(folder, 'cni.sock'), stateDir: folder })
    daemon = await startTestDaemon({ folder, podCIDR: POD_CIDR })
  })
  after(() => {
    daemon.kill('SIGKILL')
    execFileSync('umount', ['-l', folder])
    for (const dir of [folder, plugins]) rmSync(dir, { recursive: true })
  })

  it('says so to who asks for a pod, and detaches others, before and after a restart', async () => {
    const [stays, ends, endsUnheard] = [await attach('stays'), await attach('ends'), await attach('ends-unheard')]
    fill()
    const refused = await attach('refused')
    assert.match(refused, /^1 .*Cannot write down a pod's network in .*: its disk is full; make room there/)
    assert.equal(await call('DEL', 'refused'), '0 ')
    assert.equal(await call('DEL', 'ends'), '0 ')
    assert.equal((await systemPodHost.listDevices()).size, 2)
    daemon.kill('SIGKILL')
    await once(daemon, 'close')
    assert.equal(await call('DEL', 'ends-unheard'), '0 ')
    for (const name of ['refused', 'ends', 'ends-unheard']) ip(`netns del ${name}`)
    daemon = await startTestDaemon({ folder, podCIDR: POD_CIDR })
    assert.deepEqual(await attachedNow(), ['stays'])
    assert.deepEqual(readdirSync(deletionsDir(folder)), [])
    assert.match(await attach('refused'), /disk is full/)
    rmSync(filler())
    await restart()
    const next = await call('ADD', 'refused')
    assert.match(next, /^0 /)
    for (const address of [stays, ends, endsUnheard]) assert.ok(!next.includes(`"${address}/32"`), `${address} rests`)
    assert.deepEqual(await attachedNow(), ['refused', 'stays'])
  })
})
