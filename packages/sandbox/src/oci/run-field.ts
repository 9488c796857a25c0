import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { containerConfig, execute } from '../cases/container.ts'
import type { Config, Field } from './field.ts'

const TIMEOUT_MS = 20_000
const BUSYBOX = '/bin/busybox'
const applets = execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n')

/** What a container with this field prints, errors of the runtime included. Needs root. */
export async function runField(runtime: string, field: Field): Promise<string> {
  const bundle = mkdtempSync(join(tmpdir(), 'field-'))
  const [rootfs, host] = [join(bundle, 'rootfs'), join(bundle, 'host')]
  const id = bundle.slice(bundle.lastIndexOf('/') + 1)
  try {
    for (const name of ['bin', 'tmp', 'proc', 'dev', 'sys', 'etc']) mkdirSync(join(rootfs, name), { recursive: true })
    mkdirSync(host)
    chmodSync(join(rootfs, 'tmp'), 0o1777)
    copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'))
    for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', name))
    chmodSync(bundle, 0o755)
    field.prepare?.({ rootfs, host })
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(configOf(field, host)))
    const root = ['--root', join(bundle, 'state')]
    const run = await execute(runtime, [...root, 'run', '--bundle', bundle, id], TIMEOUT_MS)
    if (run.status === undefined) await execute(runtime, [...root, 'delete', '--force', id], TIMEOUT_MS)
    return `${run.output}status ${run.status ?? 'none: it hung'}\n`.replaceAll(bundle, 'BUNDLE')
  } finally {
    rmSync(bundle, { recursive: true, force: true })
  }
}

function configOf(field: Field, host: string): Config {
  const config: Config = containerConfig({ args: [] })
  config.mounts = config.mounts.filter(({ destination }) => destination !== '/tmp')
  config.process = { ...config.process, args: ['sh', '-c', `exec 2>&1; ${field.script}`], env: ['PATH=/bin'] }
  field.change(config, { host })
  return config
}
