import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The newest that Debian 12 has, and its first with systrap. */
const RUNSC_VERSION = '0.0~20240729'
const SOURCE =
  'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main\n'

/**
 * The path of Debian's runsc in `cache`. It is downloaded when it is not there, by an apt with sources and lists of its own, and unpacked: nothing is installed
 * and apt's own state is not touched. Apt checks the signature. Needs Debian or Ubuntu with Debian's keyring.
 */
export async function fetchRunsc(cache: string, log: (message: string) => void): Promise<string> {
  const folder = join(cache, 'runsc')
  const binary = join(folder, 'usr/bin/runsc')
  if (existsSync(binary)) return binary
  log('downloading runsc from bookworm-backports')
  mkdirSync(cache, { recursive: true })
  const apt = mkdtempSync(join(cache, '.apt-'))
  try {
    for (const path of ['lists/partial', 'archives/partial', 'unpacked'])
      mkdirSync(join(apt, path), { recursive: true })
    writeFileSync(join(apt, 'sources.list'), SOURCE)
    execFileSync('apt-get', [...aptOptions(apt), 'update'], { stdio: ['ignore', 'ignore', 'pipe'] })
    execFileSync('apt-get', [...aptOptions(apt), 'download', 'runsc'], {
      cwd: apt,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const file = globSync('runsc_*.deb', { cwd: apt })[0]
    if (file?.startsWith(`runsc_${RUNSC_VERSION}`) !== true)
      throw new Error(`bookworm-backports has ${String(file)}, not runsc ${RUNSC_VERSION}`)
    execFileSync('dpkg-deb', ['--extract', join(apt, file), join(apt, 'unpacked')])
    renameSync(join(apt, 'unpacked'), folder)
    return binary
  } catch (cause) {
    const why = (cause as Error).message
    throw new Error(`Cannot fetch runsc ${RUNSC_VERSION}: ${why} (RUNSC names a binary of your own)`, { cause })
  } finally {
    rmSync(apt, { recursive: true, force: true })
  }
}

function aptOptions(apt: string): string[] {
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::Cache': apt,
    'APT::Sandbox::User': 'root',
  }
  return ['--quiet', ...Object.entries(settings).flatMap(([name, value]) => ['--option', `${name}=${value}`])]
}
