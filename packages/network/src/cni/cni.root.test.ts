import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { silentLogger, systemClock } from '@centaurus/base'
import { buildPauseImage } from '@centaurus/images'
import { createCriRuntime, importImage, startContainerd, type Containerd, type ContainerRuntime } from '@centaurus/node'
import { isInNamespaces, isolateHost, killShims, runInNamespaces } from '@centaurus/node/testing'
import { ensureHostNetwork, removeHostNetwork } from '../host/host-network.ts'
import { systemPodHost } from '../host/pod-host.ts'
import { deletionsDir } from './deletion-spool.ts'
import { formatNetworkList, installPlugins } from './shim.ts'
import { HostRouteSource } from './testing/host-route-source.ts'
import { serveCni, type ServedCni } from './testing/serve-cni.ts'
import { startTestDaemon } from './testing/start-daemon.ts'

const PAUSE = 'centaurus.io/pause:1'
const POD_CIDR = '10.244.3.0/24'
const ROUNDS = 100
const AT_ONCE = 4
/** From before anything is done to after everything is. */
const KILL_AFTER_MS = [5, 20, 40, 60, 90, 130, 200, 400]
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' })
const ip = (line: string): string => run('ip', ...line.split(' '))

if (!isInNamespaces()) {
  describe('attaching pods', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('attaching pods', () => {
    let dir: string
    let source: HostRouteSource
    let served: ServedCni
    const startDaemon = async (): Promise<void> => {
      served = await serveCni({ folder: dir, podCIDR: POD_CIDR, source })
    }
    /** What is left of pods: devices, routes to them, rules, and files of pods that are not gone. */
    const traces = async () => ({
      devices: [...(await systemPodHost.listDevices()).keys()],
      routes: ip('route')
        .split('\n')
        .filter((line) => line.includes('dev cen') && !line.includes('dev centaurus0')),
      rules: run('nft', 'list', 'table', 'ip', 'centaurus-network')
        .split('\n')
        .filter((line) => line.includes(' . ') && line.includes(' : 10.')),
      endpoints: source.listEndpoints(),
      pods: (
        await Promise.all((await readdir(join(dir, 'pods'))).map((file) => readFile(join(dir, 'pods', file), 'utf8')))
      )
        .map((text) => (JSON.parse(text) as { phase: string }).phase)
        .filter((phase) => phase !== 'released'),
    })
    const nothing = { devices: [], routes: [], rules: [], endpoints: [], pods: [] }

    before(async () => {
      isolateHost()
      dir = await mkdtemp('/tmp/centaurus-cni-')
      for (const line of [
        'link add eth0 type veth peer name eth0-peer',
        'addr add 192.0.2.1/24 dev eth0',
        'link set eth0 up',
      ])
        ip(line)
      source = new HostRouteSource()
      await startDaemon()
      await ensureHostNetwork({
        podCIDR: POD_CIDR,
        podNetworks: ['10.244.0.0/16'],
        serviceCIDRs: [],
        stateDir: dir,
        hostPorts: [],
      })
      await installPlugins(join(dir, 'bin'), { socket: join(dir, 'cni.sock'), stateDir: dir })
    })
    after(async () => {
      await served.close()
      await removeHostNetwork({ stateDir: dir })
      await rm(dir, { recursive: true, force: true }).catch(() => undefined) // what is still mounted ends with the namespace
    })

    /** What a pod says to somebody who knocks where nobody listens: nothing but its own stack can refuse. */
    const knock = (address: string): Promise<string | undefined> =>
      new Promise((resolve) => {
        const socket = connect({ host: address, port: 9, timeout: 5_000 })
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
        socket.on('timeout', () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })))
      })
    /** The kernel takes its time to remove a network namespace. */
    const untilDevices = async (count: number): Promise<void> => {
      for (const end = Date.now() + 10_000; Date.now() < end; await systemClock.sleep(5))
        if ((await systemPodHost.listDevices()).size === count) return
      assert.fail('The device of a pod outlives its network namespace')
    }

    /** Calls the plugin as a runtime does. */
    const call = (
      command: string,
      name: string,
      more: object = {},
    ): Promise<{ code: number | null; output: string }> => {
      const child = spawn(join(dir, 'bin', 'centaurus'), {
        env: {
          PATH: process.env['PATH'],
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
      child.stdin.end(JSON.stringify({ cniVersion: '1.0.0', name: 'centaurus', type: 'centaurus', ...more }))
      return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })))
    }
    const addressOf = (output: string): string =>
      (JSON.parse(output) as { ips: { address: string }[] }).ips[0]!.address.replace('/32', '')

    it(`leaves nothing of ${ROUNDS} pods, and gives each an address of its own that answers`, async (test) => {
      const addresses = new Set<string>()
      const addMs: number[] = []
      const deleteMs: number[] = []
      const names = Array.from({ length: ROUNDS }, (_, index) => `pod-${index}`)
      const worker = async (): Promise<void> => {
        for (let name = names.shift(); name !== undefined; name = names.shift()) {
          ip(`netns add ${name}`)
          const runtimeConfig = {
            portMappings: [{ hostPort: 20_000 + names.length, containerPort: 80, protocol: 'tcp' }],
          }
          const startMs = performance.now()
          const { code, output } = await call('ADD', name, { runtimeConfig })
          addMs.push(performance.now() - startMs)
          assert.equal(code, 0, output)
          addresses.add(addressOf(output))
          assert.equal(await knock(addressOf(output)), 'ECONNREFUSED')
          const checked = await call('CHECK', name, { prevResult: JSON.parse(output) as object })
          assert.deepEqual(checked, { code: 0, output: '' })
          const deletedMs = performance.now()
          assert.deepEqual(await call('DEL', name), { code: 0, output: '' })
          deleteMs.push(performance.now() - deletedMs)
          ip(`netns del ${name}`)
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, worker))
      assert.equal(addresses.size, ROUNDS)
      assert.deepEqual(await traces(), nothing)
      const median = (values: number[]): number => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!)
      test.diagnostic(`ADD ${median(addMs)} ms, DEL ${median(deleteMs)} ms, ${AT_ONCE} at once`)
    })

    it('knows its pods after a restart, and takes away those that went meanwhile', async () => {
      for (const name of ['stays', 'goes']) {
        ip(`netns add ${name}`)
        assert.equal((await call('ADD', name)).code, 0)
      }
      await served.close()
      ip('netns del goes')
      await untilDevices(1)
      await startDaemon()
      assert.deepEqual(
        served.attachments.list().map(({ name }) => name),
        ['stays'],
      )
      assert.deepEqual(await call('CHECK', 'stays'), { code: 0, output: '' })
      assert.deepEqual(await call('DEL', 'goes'), { code: 0, output: '' })
      assert.deepEqual(await call('DEL', 'stays'), { code: 0, output: '' })
      ip('netns del stays')
      assert.deepEqual(await traces(), nothing)
    })

    it('keeps who was answered and nobody else, when it is killed in the middle of attaching', async () => {
      await served.close()
      const attached: string[] = []
      for (const [round, delayMs] of KILL_AFTER_MS.entries()) {
        const daemon = await startTestDaemon({ folder: dir, podCIDR: POD_CIDR })
        const names = [0, 1, 2].map((index) => `killed-${round}-${index}`)
        for (const name of names) ip(`netns add ${name}`)
        const adding = names.map(async (name) => {
          if ((await call('ADD', name)).code === 0) attached.push(name)
        })
        await systemClock.sleep(delayMs)
        daemon.kill('SIGKILL')
        await Promise.all(adding)
      }
      await startDaemon()
      const known = new Map(served.attachments.list().map(({ name, ip: address }) => [name, address]))
      assert.equal(new Set(known.values()).size, known.size)
      for (const name of attached) assert.equal(await knock(known.get(name)!), 'ECONNREFUSED', name)
      for (const [round] of KILL_AFTER_MS.entries()) {
        for (const index of [0, 1, 2]) {
          const name = `killed-${round}-${index}`
          if (round % 2 === 0) assert.deepEqual(await call('DEL', name), { code: 0, output: '' })
          ip(`netns del ${name}`)
        }
      }
      await untilDevices(0) // a command of a daemon that was killed may have run on for a moment
      await served.attachments.sweep()
      assert.deepEqual(await traces(), nothing)
    })

    it('detaches whose end was told to nobody, since the daemon was killed', async () => {
      await served.close()
      const daemon = await startTestDaemon({ folder: dir, podCIDR: POD_CIDR })
      const names = ['one', 'two', 'three']
      for (const name of names) {
        ip(`netns add ${name}`)
        assert.equal((await call('ADD', name)).code, 0)
      }
      const detaching = names.map((name) => call('DEL', name))
      daemon.kill('SIGKILL')
      assert.deepEqual(
        await Promise.all(detaching),
        names.map(() => ({ code: 0, output: '' })),
      )
      await startDaemon() // the namespaces are there still
      assert.deepEqual(await traces(), nothing)
      assert.deepEqual(await readdir(deletionsDir(dir)), [])
      for (const name of names) ip(`netns del ${name}`)
    })

    it('rebuilds what a damaged file said from the endpoints that exist', async () => {
      ip('netns add damaged')
      const address = addressOf((await call('ADD', 'damaged')).output)
      await served.close()
      const [device] = [...(await systemPodHost.listDevices()).keys()]
      await writeFile(join(dir, 'pods', `${device}.json`), '{"version":1,')
      await startDaemon()
      assert.deepEqual(
        served.attachments.list().map((one) => one.ip),
        [address],
      )
      assert.deepEqual(await call('DEL', 'damaged'), { code: 0, output: '' })
      ip('netns del damaged')
      assert.deepEqual(await traces(), nothing)
    })

    it('undoes an ADD that fails in the middle', async () => {
      ip('netns add half')
      ip('-n half link add eth0 type bridge') // the name is taken
      const { code, output } = await call('ADD', 'half')
      assert.equal(code, 1)
      assert.match(
        output,
        /"code":100,"msg":"Cannot make \\"eth0\\" in \\"\/run\/netns\/half\\"","details":"Cannot add the veth .*EEXIST/,
      )
      assert.deepEqual(await traces(), nothing)
      ip('netns del half')
      const gone = await call('ADD', 'gone')
      assert.equal(gone.code, 1)
      assert.deepEqual(await traces(), nothing)
    })

    describe('by containerd', () => {
      let containerd: Containerd
      let runtime: ContainerRuntime
      const startOurs = (sandboxImage = PAUSE): Promise<Containerd> =>
        startContainerd({
          dir: join(dir, 'containerd'),
          clock: systemClock,
          logger: silentLogger,
          sandboxImage,
          network: { networkList: formatNetworkList(), cniBinDir: join(dir, 'bin') },
        })
      before(async () => {
        containerd = await startOurs()
        await writeFile(join(dir, 'pause.tar'), buildPauseImage({ name: PAUSE }))
        await importImage(join(dir, 'pause.tar'), containerd)
        runtime = createCriRuntime({ endpoint: containerd.endpoint })
      })
      after(async () => {
        await runtime.close()
        await containerd.stop()
        killShims(containerd.socket)
      })

      const runSandbox = (name: string): Promise<string> =>
        runtime.runSandbox(
          {
            metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 },
            hostname: name,
            logDirectory: join(dir, 'logs'),
            portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }],
            labels: {},
            annotations: {},
            linux: {
              cgroupParent: '',
              securityContext: {
                namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
                supplementalGroups: [],
                privileged: false,
              },
              sysctls: {},
            },
          },
          '',
        )

      it('gives a sandbox its network, and takes it away with it', async () => {
        const sandbox = await runSandbox('web')
        const { status } = { status: await runtime.sandboxStatus(sandbox) }
        const [attachment] = served.attachments.list()
        assert.equal(attachment?.name, 'web')
        assert.equal(attachment.uid, 'uid-web')
        assert.equal(attachment.containerId, sandbox)
        assert.deepEqual(status?.ips, [attachment.ip])
        assert.deepEqual(
          served.attachments.listHostPorts().map(({ hostPort, target }) => [hostPort, target]),
          [[8080, attachment.ip]],
        )
        assert.equal(await knock(attachment.ip), 'ECONNREFUSED')
        await runtime.stopSandbox(sandbox)
        await runtime.removeSandbox(sandbox)
        assert.deepEqual(await traces(), nothing)
      })

      it('lives on when the runtime is started again because its configuration is another one', async () => {
        const sandbox = await runSandbox('long')
        assert.equal((await startOurs()).adopted, true)
        assert.equal((await startOurs('centaurus.io/other:1')).adopted, false)
        containerd = await startOurs()
        assert.equal(containerd.adopted, false)
        assert.equal((await runtime.sandboxStatus(sandbox))?.ready, true)
        assert.equal(await knock(served.attachments.list()[0]!.ip), 'ECONNREFUSED')
        await runtime.stopSandbox(sandbox)
        await runtime.removeSandbox(sandbox)
        assert.deepEqual(await traces(), nothing)
      })

      it('tells the runtime why a sandbox gets no network, and leaves nothing', async () => {
        const first = await runSandbox('one')
        await assert.rejects(runSandbox('two'), /Host port tcp \*:8080 leads to pod "default\/one" already/)
        assert.deepEqual(
          served.attachments.list().map(({ name }) => name),
          ['one'],
        )
        await runtime.stopSandbox(first)
        await runtime.removeSandbox(first)
        assert.deepEqual(await traces(), nothing)
      })

      it('takes a sandbox away without the daemon, which does its part when it is there', async () => {
        const sandbox = await runSandbox('late')
        await served.close()
        await runtime.stopSandbox(sandbox)
        await runtime.removeSandbox(sandbox)
        assert.deepEqual((await traces()).pods, ['ready'])
        await startDaemon()
        assert.deepEqual(await traces(), nothing)
        assert.deepEqual(await readdir(deletionsDir(dir)), [])
      })
    })
  })
}
