import { readFileSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CNI_CODES } from './cni-error.ts'
import { CNI_VERSIONS } from './cni-request.ts'
import { DELETIONS_MAX, deletionsDir, DeletionSpool } from './deletion-spool.ts'

const SHIM = new URL('shim.pl', import.meta.url)

/** Names of the plugins, as configurations have them. The runtime itself asks for the second one: it brings a pod's loopback up. */
export const CNI_PLUGIN = 'centaurus'
const LOOPBACK_PLUGIN = 'loopback'

/** Longer than an ADD waits for its pod; the runtime itself gives up after minutes. */
const ANSWER_SECONDS_MAX = 60
/** Tenths of a second that an ADD waits for a daemon that is not there. */
const SOCKET_TRIES_MAX = 100
/** What the shim says when the runtime names no version. */
const NEWEST_VERSION = CNI_VERSIONS.at(-1)!

export interface NetworkListOptions {
  readonly name?: string | undefined
  /** Default 1.0.0, which every containerd since 1.6 knows. */
  readonly cniVersion?: string | undefined
}

export interface ShimOptions {
  /** Where the daemon serves. */
  readonly socket: string
  /** The daemon's folder, where detachments are written down while it is away. */
  readonly stateDir: string
}

/** The CNI network list that makes a container runtime use our plugin alone. */
export function formatNetworkList({ name = 'centaurus', cniVersion = '1.0.0' }: NetworkListOptions = {}): string {
  const plugins = [{ type: CNI_PLUGIN, capabilities: { portMappings: true } }]
  return `${JSON.stringify({ cniVersion, name, plugins }, undefined, 2)}\n`
}

/** Writes the plugins into the runtime's folder of CNI plugins, each in one step: the runtime may run it at any time. */
export async function installPlugins(binDir: string, options: ShimOptions): Promise<void> {
  await new DeletionSpool(deletionsDir(options.stateDir)).open()
  await writePlugins(binDir, { [CNI_PLUGIN]: formatShim(options), [LOOPBACK_PLUGIN]: formatLoopback() })
}

async function writePlugins(binDir: string, plugins: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(binDir, { recursive: true })
  for (const [name, text] of Object.entries(plugins)) {
    const file = join(binDir, name)
    if (name === LOOPBACK_PLUGIN && (await isForeign(file))) continue
    await writeFile(`${file}.tmp`, text)
    await chmod(`${file}.tmp`, 0o755)
    await rename(`${file}.tmp`, file)
  }
}

/** Whether somebody else's plugin is there, such as that of a package: any brings a loopback up. */
async function isForeign(file: string): Promise<boolean> {
  try {
    return !(await readFile(file)).includes('centaurus')
  } catch {
    return false // there is none
  }
}

/**
 * Replaces the plugins by such as take pods away without a daemon, and attach none: what is left of a pod without a network namespace is taken away by the
 * daemon when it starts, or with all else of the host's network.
 */
export async function installIdlePlugins(binDir: string): Promise<void> {
  await writePlugins(binDir, { [CNI_PLUGIN]: formatIdle(), [LOOPBACK_PLUGIN]: formatLoopback() })
}

/** A plugin that hands each call to the daemon at `socket`, and its answer back: `shim.pl` with its constants. */
export function formatShim({ socket, stateDir }: ShimOptions): string {
  const constants: Readonly<Record<string, string | number>> = {
    path: socket,
    folder: deletionsDir(stateDir),
    files_max: DELETIONS_MAX,
    newest: NEWEST_VERSION,
    versions: JSON.stringify(CNI_VERSIONS),
    answer_seconds: ANSWER_SECONDS_MAX,
    wait_tries: SOCKET_TRIES_MAX,
    code_environment: CNI_CODES.invalidEnvironment,
    code_later: CNI_CODES.tryAgainLater,
    code_unavailable: CNI_CODES.unavailable,
  }
  const lines = Object.entries(constants).map(([name, value]) => `my $${name} = ${quote(String(value))};`)
  return `#!/usr/bin/perl\n${lines.join('\n')}\n\n${readFileSync(SHIM, 'utf8')}`
}

function formatIdle(): string {
  return `#!/bin/sh
# CNI plugin of a host whose pods are taken away. Written by centaurus.
case \${CNI_COMMAND-} in
  DEL | GC) exit ;;
esac
printf '{"cniVersion":"${NEWEST_VERSION}","code":${CNI_CODES.tryAgainLater},"msg":"The network of this host is being stopped"}\\n'
exit 1
`
}

/** The plugin that the runtime asks for each pod's loopback, which our own brings up with the rest: another process would cost more than all of that. */
export function formatLoopback(): string {
  return `#!/bin/sh
# CNI plugin: says that the loopback is up, which the plugin centaurus does. Written by the network daemon of centaurus.
config=
while IFS= read -r line || [ -n "$line" ]; do config="$config$line"; done
version=\${config#*\\"cniVersion\\"} version=\${version#*\\"} version=\${version%%\\"*}
case \${CNI_COMMAND-} in
  ADD)
    case $version in 0.*) old='"version":"4",' ;; *) old= ;; esac
    printf '{"cniVersion":"%s","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","sandbox":"%s"}],' "$version" "$CNI_NETNS"
    printf '"ips":[{%s"address":"127.0.0.1/8","interface":0}],"dns":{}}\\n' "$old" ;;
  VERSION) printf '{"cniVersion":"%s","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\\n' "$version" ;;
esac
`
}

/** As Perl reads it. */
function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
