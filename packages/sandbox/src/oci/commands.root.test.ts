import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { execute } from '../cases/container.ts'

const COMMAND_MS = 10_000

interface Features {
  readonly hooks: readonly string[]
  readonly mountOptions: readonly string[]
  readonly linux: Readonly<Record<string, unknown>>
}

interface Spec {
  readonly ociVersion: string
  readonly hostname: string
  readonly linux: { readonly namespaces: readonly { readonly type: string }[] }
}

describe('commands that describe a runtime', () => {
  let quark: string

  before(async () => {
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    quark = await buildQuark({ outDir: quarkFolder(), cargo: await findCargo(), report })
  })

  it('write the same example, but for its name', async () => {
    const [own, native] = [await spec(quark), await spec('runc')]
    assert.deepEqual([own.ociVersion, own.hostname], ['1.2.0', 'quark'])
    // runc asks for one where the host has version 2 alone
    const namespaces = native.linux.namespaces.filter(({ type }) => type !== 'cgroup')
    const linux = { ...native.linux, namespaces }
    assert.deepEqual(own, { ...native, ociVersion: own.ociVersion, hostname: own.hostname, linux })
  })

  it('tell the same features, or that there are none', async () => {
    const [own, native] = [await features(quark), await features('runc')]
    assert.deepEqual(
      native.mountOptions.filter((option) => !own.mountOptions.includes(option)),
      [],
    )
    assert.deepEqual(own.hooks, native.hooks)
    for (const name of ['namespaces', 'capabilities']) assert.deepEqual(own.linux[name], native.linux[name])
    assert.deepEqual(
      Object.keys(native.linux).filter((name) => !(name in own.linux)),
      [],
    )
    assert.deepEqual(own.linux['cgroup'], { v1: true, v2: true, systemd: false, systemdUser: false, rdma: false })
    for (const name of ['seccomp', 'apparmor', 'selinux', 'intelRdt', 'netDevices'])
      assert.deepEqual(own.linux[name], { enabled: false })
  })
})

async function features(runtime: string): Promise<Features> {
  return JSON.parse((await execute(runtime, ['features'], COMMAND_MS)).output) as Features
}

async function spec(runtime: string): Promise<Spec> {
  const folder = mkdtempSync(join(tmpdir(), 'spec-'))
  try {
    const { output, status } = await execute(runtime, ['spec', '--bundle', folder], COMMAND_MS)
    assert.equal(status, 0, output)
    return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Spec
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
