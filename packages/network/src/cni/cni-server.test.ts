import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { silentLogger } from '@centaurus/base'
import { startCniServer, type CniServer, type CniServerOptions } from './cni-server.ts'
import { DELETIONS_MAX, deletionsDir, DeletionSpool } from './deletion-spool.ts'
import { formatNetworkList, installPlugins } from './shim.ts'
import { Machine } from './testing/machine.ts'

interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a plugin as libcni does: environment, configuration on standard input, a result or an error on standard output. */
function run(plugin: string, environment: Record<string, string>, config: object): Promise<Ran> {
  const child = spawn(plugin, {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stdin.on('error', () => {}).end(JSON.stringify(config))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}

describe('the shim and its server', () => {
  let dir: string
  let machine: Machine
  let server: CniServer | undefined
  let notReady: string | undefined
  const config = { cniVersion: '1.0.0', name: 'centaurus', type: 'centaurus' }
  const ask = (command: string, containerId: string, more: object = {}): Promise<Ran> =>
    run(
      join(dir, 'bin', 'centaurus'),
      {
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: `/run/netns/${containerId}`,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${containerId}`,
        http_proxy: 'http://192.0.2.1:3128',
      },
      { ...config, ...more },
    )
  const serve = async (more: Partial<CniServerOptions> = {}): Promise<void> => {
    server = await startCniServer({
      socket: join(dir, 'it’s', 'cni.sock'),
      attachments: more.attachments ?? (await machine.boot()).attachments,
      whyNotReady: () => notReady,
      logger: silentLogger,
      ...more,
    })
  }
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'centaurus-cni-'))
    machine = new Machine(join(dir, 'state'))
    notReady = undefined
    await installPlugins(join(dir, 'bin'), { socket: join(dir, 'it’s', 'cni.sock'), stateDir: join(dir, 'state') })
  })
  afterEach(async () => {
    await server?.close()
    server = undefined
    await rm(dir, { recursive: true })
  })

  it('attach a pod, check it, and detach it as often as asked', async () => {
    await serve()
    machine.makeNamespace('a')
    const added = await ask('ADD', 'a')
    assert.equal(added.code, 0, added.output)
    const result = JSON.parse(added.output) as { ips: unknown[] }
    assert.deepEqual(result.ips, [{ interface: 1, address: '10.244.3.2/32', gateway: '169.254.1.1' }])
    assert.deepEqual(await ask('CHECK', 'a', { prevResult: result }), { code: 0, output: '' })
    assert.deepEqual(await ask('DEL', 'a'), { code: 0, output: '' })
    assert.deepEqual(await ask('DEL', 'a'), { code: 0, output: '' })
    assert.deepEqual(await ask('DEL', 'never'), { code: 0, output: '' })
  })

  it('serve a socket that nobody else may use, and no second time', async () => {
    await serve()
    assert.equal((await stat(join(dir, 'it’s', 'cni.sock'))).mode & 0o777, 0o600)
    await assert.rejects(serve(), /another network daemon of this host does/)
  })

  it('say errors in CNI’s JSON, with an exit code', async () => {
    await serve()
    const refused = await ask('CHECK', 'b')
    assert.equal(refused.code, 1)
    assert.deepEqual(JSON.parse(refused.output), {
      cniVersion: '1.0.0',
      code: 3,
      msg: 'Container "b" has no network here',
    })
    const unknown = JSON.parse((await ask('UPDATE', 'b')).output) as object
    assert.deepEqual(unknown, {
      cniVersion: '1.0.0',
      code: 4,
      msg: 'CNI_COMMAND must be one of ADD, DEL, CHECK, GC, STATUS, VERSION',
    })
    const waiting = JSON.parse((await ask('ADD', 'unknown')).output) as object
    assert.deepEqual(waiting, { cniVersion: '1.0.0', code: 11, msg: 'Pod "unknown" is not known yet' })
    const huge = JSON.parse((await ask('ADD', 'b', { padding: 'x'.repeat(1024 * 1024) })).output) as { msg: string }
    assert.match(huge.msg, /more than 1048576 bytes/)
  })

  it('answer STATUS and GC of CNI 1.1', async () => {
    await serve()
    machine.makeNamespace('a')
    await ask('ADD', 'a')
    assert.deepEqual(await ask('STATUS', '', { cniVersion: '1.1.0' }), { code: 0, output: '' })
    notReady = 'The node has no spec.podCIDR yet'
    const status = await ask('STATUS', '', { cniVersion: '1.1.0' })
    assert.deepEqual(JSON.parse(status.output), { cniVersion: '1.1.0', code: 50, msg: notReady })
    assert.deepEqual(await ask('GC', '', { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }), {
      code: 0,
      output: '',
    })
    assert.equal(machine.links.size, 0)
  })

  describe('write down without a daemon', () => {
    const nothing = { links: [], endpoints: [], ports: [] }
    const waiting = (): string[] => readdirSync(deletionsDir(join(dir, 'state')))
    const stop = async (): Promise<void> => {
      await server?.close()
      server = undefined
    }
    const refuse = async (command: string, containerId: string): Promise<string> => {
      const { code, output } = await ask(command, containerId)
      assert.equal(code, 1)
      const error = JSON.parse(output) as { code: number; msg: string }
      assert.equal(error.code, 11)
      return error.msg
    }

    it('a DEL, which the next one works off before it serves, so that nobody else has had the address', async () => {
      await serve()
      for (const name of ['a', 'b']) {
        machine.makeNamespace(name)
        assert.equal((await ask('ADD', name)).code, 0)
      }
      await stop()
      for (const _ of ['once', 'again']) assert.deepEqual(await ask('DEL', 'a'), { code: 0, output: '' })
      assert.deepEqual(waiting(), ['a:eth0'])
      const { attachments } = await machine.boot()
      assert.deepEqual(waiting(), [])
      assert.deepEqual(
        attachments.list().map(({ name }) => name),
        ['b'],
      )
      await serve()
      machine.makeNamespace('c')
      assert.match((await ask('ADD', 'c')).output, /"10\.244\.3\.4\/32"/, 'the address of a rests')
    })

    it('a DEL between the look of the next one and its first answer, which it then finds', async () => {
      await serve()
      machine.makeNamespace('a')
      await ask('ADD', 'a')
      await stop()
      const { attachments } = await machine.boot()
      await ask('DEL', 'a')
      assert.equal(attachments.list().length, 1)
      await serve({ attachments })
      assert.deepEqual(machine.state, nothing)
      assert.deepEqual(waiting(), [])
    })

    it('a DEL whose daemon ends before it answers', async () => {
      const dying = createServer((connection) => connection.once('data', () => connection.destroy()))
      await mkdir(join(dir, 'it’s'))
      await new Promise<void>((resolve) => dying.listen(join(dir, 'it’s', 'cni.sock'), resolve))
      assert.deepEqual(await ask('DEL', 'a'), { code: 0, output: '' })
      assert.match(await refuse('CHECK', 'a'), /^The network daemon is away \(it ended the connection\)/)
      await new Promise((resolve) => dying.close(resolve))
      assert.deepEqual(waiting(), ['a:eth0'])
    })

    it('nothing that an ADD has made good since', async () => {
      await ask('DEL', 'a')
      const { attachments } = await machine.boot()
      await ask('DEL', 'a')
      await serve({ attachments })
      await writeFile(join(deletionsDir(join(dir, 'state')), 'a:eth0'), '')
      machine.makeNamespace('a')
      assert.equal((await ask('ADD', 'a')).code, 0)
      await attachments.workOffDeletions()
      assert.equal(machine.links.size, 1)
    })

    it('no other command, and nothing whose names are wrong', async () => {
      assert.match(await refuse('GC', 'a'), /^The network daemon is away/)
      assert.match(await refuse('CHECK', 'a'), /^The network daemon is away/)
      const { output, code } = await ask('DEL', '../a')
      assert.deepEqual([code, (JSON.parse(output) as { code: number }).code], [1, 4])
      assert.deepEqual(waiting(), [])
    })

    it('no more than so many, and say so; and say when they can’t', async () => {
      const folder = deletionsDir(join(dir, 'state'))
      for (let each = 0; each < DELETIONS_MAX; each++) writeFileSync(join(folder, `c${each}:eth0`), '')
      assert.match(await refuse('DEL', 'a'), /can't be written down for it: 4096 others wait in .*deletions$/)
      assert.deepEqual(await ask('DEL', 'c7'), { code: 0, output: '' })
      await rm(folder, { recursive: true })
      assert.match(await refuse('DEL', 'a'), /can't be written down for it in .*: No such file or directory$/)
    })

    it('in a folder in which others’ files do no harm', async () => {
      const folder = deletionsDir(join(dir, 'state'))
      assert.equal((await stat(folder)).mode & 0o777, 0o700)
      await mkdir(join(folder, 'b:eth0'))
      for (const name of ['none', '.a:eth0', 'a:eth0:eth0', `a:${'e'.repeat(16)}`])
        await writeFile(join(folder, name), '')
      await symlink('/etc/passwd', join(folder, 'c:eth0'))
      await ask('DEL', 'a')
      assert.deepEqual(await new DeletionSpool(folder).list(), [{ containerId: 'a', ifname: 'eth0' }])
      await machine.boot()
      assert.equal(waiting().length, 6)
    })
  })

  it('say without a daemon to try again later, and which versions there are', async () => {
    const away = await ask('CHECK', 'a')
    assert.equal(away.code, 1)
    const error = JSON.parse(away.output) as { code: number; msg: string }
    assert.equal(error.code, 11)
    assert.match(error.msg, /^The network daemon is away .*try again later/)
    assert.equal((JSON.parse((await ask('STATUS', 'a', { cniVersion: '1.1.0' })).output) as { code: number }).code, 50)
    assert.deepEqual(JSON.parse((await ask('VERSION', '', { cniVersion: '0.4.0' })).output), {
      cniVersion: '0.4.0',
      supportedVersions: ['0.4.0', '1.0.0', '1.1.0'],
    })
  })

  it('let an ADD wait for a daemon that is about to come', async () => {
    machine.makeNamespace('a')
    const asked = ask('ADD', 'a')
    await serve()
    assert.equal((await asked).code, 0)
  })

  it('tell whoever counts calls how they ended', async () => {
    const ended: string[] = []
    const onCall = (command: string) => (result: string) => void ended.push(`${command} ${result}`)
    await serve({ onCall })
    machine.makeNamespace('a')
    await ask('ADD', 'a')
    await ask('CHECK', 'b')
    assert.deepEqual(ended, ['ADD ok', 'CHECK error'])
  })

  it('undo an ADD whose runtime gave up', async () => {
    await serve()
    machine.makeNamespace('a')
    const { promise: isAsked, resolve } = Promise.withResolvers<void>()
    const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>()
    machine.beforeActivation = () => {
      resolve()
      return goesOn
    }
    const plugin = spawn(join(dir, 'bin', 'centaurus'), {
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'a',
        CNI_NETNS: '/run/netns/a',
        CNI_IFNAME: 'eth0',
        CNI_ARGS: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=a',
      },
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    plugin.stdin.end(JSON.stringify(config))
    await isAsked
    const closed = new Promise((done) => plugin.once('close', done))
    process.kill(-plugin.pid!, 'SIGKILL')
    await closed
    await machine.aborted
    goOn()
    await server!.close()
    server = undefined
    assert.deepEqual(machine.state, { links: [], endpoints: [], ports: [] })
  })
})

describe('formatNetworkList', () => {
  it('names our plugin alone, with the ports of hosts as its task', () => {
    assert.deepEqual(JSON.parse(formatNetworkList()), {
      cniVersion: '1.0.0',
      name: 'centaurus',
      plugins: [{ type: 'centaurus', capabilities: { portMappings: true } }],
    })
  })
})
