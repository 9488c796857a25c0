import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CNI_CODES } from './cni-error.ts'
import { CNI_VERSIONS } from './cni-request.ts'

/** Names of the plugins, as configurations have them. The runtime itself asks for the second one: it brings a pod's loopback up. */
export const CNI_PLUGIN = 'centaurus'
const LOOPBACK_PLUGIN = 'loopback'

/** Longer than an ADD waits for its pod; the runtime itself gives up after minutes. */
const ANSWER_SECONDS_MAX = 60
/** Tenths of a second that an ADD waits for a daemon that is not there. */
const SOCKET_TRIES_MAX = 100
/** Newest first in CNI's words: what the shim says when the runtime names no version. */
const NEWEST_VERSION = CNI_VERSIONS.at(-1)!

export interface NetworkListOptions {
  readonly name?: string | undefined
  /** Default 1.0.0, which every containerd since 1.6 knows. */
  readonly cniVersion?: string | undefined
}

/** The CNI network list that makes a container runtime use our plugin alone. */
export function formatNetworkList({ name = 'centaurus', cniVersion = '1.0.0' }: NetworkListOptions = {}): string {
  const plugins = [{ type: CNI_PLUGIN, capabilities: { portMappings: true } }]
  return `${JSON.stringify({ cniVersion, name, plugins }, undefined, 2)}\n`
}

/** Writes the plugins into the runtime's folder of CNI plugins, each in one step: the runtime may run it at any time. */
export async function installPlugins(binDir: string, { socket }: { readonly socket: string }): Promise<void> {
  await writePlugins(binDir, { [CNI_PLUGIN]: formatShim(socket), [LOOPBACK_PLUGIN]: formatLoopback() })
}

async function writePlugins(binDir: string, plugins: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(binDir, { recursive: true })
  for (const [name, text] of Object.entries(plugins)) {
    const file = join(binDir, name)
    await writeFile(`${file}.tmp`, text)
    await chmod(`${file}.tmp`, 0o755)
    await rename(`${file}.tmp`, file)
  }
}

/**
 * Replaces the plugins by such as take pods away without a daemon, and attach none: what is left of a pod without a network namespace is taken away by the
 * daemon when it starts, or with all else of the host's network.
 */
export async function installIdlePlugins(binDir: string): Promise<void> {
  await writePlugins(binDir, { [CNI_PLUGIN]: formatIdle(), [LOOPBACK_PLUGIN]: formatLoopback() })
}

/**
 * A plugin that hands each call to the daemon at `socket`, and its answer back. What it says itself is in the version that the configuration names; in its first part
 * the configuration goes to the daemon unread, since each process costs milliseconds.
 */
export function formatShim(socket: string): string {
  return `#!/bin/sh
# CNI plugin: hands the container runtime's calls to the network daemon, which wrote this file.
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
fail() {
  printf '{"cniVersion":"${NEWEST_VERSION}","code":%s,"msg":"%s"}\\n' "$1" "$2"
  exit 1
}
case \${CNI_COMMAND-} in
  VERSION)
    ${READ_VERSION}
    printf '{"cniVersion":"%s","supportedVersions":${JSON.stringify(CNI_VERSIONS)}}\\n' "\${version:-${NEWEST_VERSION}}"
    exit ;;
  STATUS) away=${CNI_CODES.unavailable} ;;
  *) away=${CNI_CODES.tryAgainLater} ;;
esac
# A daemon that is about to start is waited for: the runtime's own tries are seconds apart.
if [ "\${CNI_COMMAND-}" = ADD ]; then
  tries=0
  while [ ! -S ${quote(socket)} ] && [ "$tries" -lt ${SOCKET_TRIES_MAX} ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
fi
answer=$(curl --disable --silent --noproxy '*' --fail-with-body --max-time ${ANSWER_SECONDS_MAX} --unix-socket ${quote(socket)} \\
  --header "cni-containerid: \${CNI_CONTAINERID-}" --header "cni-netns: \${CNI_NETNS-}" \\
  --header "cni-ifname: \${CNI_IFNAME-}" --header "cni-args: \${CNI_ARGS-}" \\
  --data-binary @- "http://localhost/cni/\${CNI_COMMAND-}")
status=$?
case $status in
  0) [ -z "$answer" ] || printf '%s\\n' "$answer" ;;
  22) printf '%s\\n' "$answer"; exit 1 ;;
  28) fail $away "The network daemon did not answer within ${ANSWER_SECONDS_MAX} s; try again later" ;;
  126 | 127) fail ${CNI_CODES.inputOutput} "Cannot run curl: install the package curl" ;;
  *) fail $away "The network daemon is away (curl says $status): try again later; it is started by: centaurus network run" ;;
esac
`
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

/** A plugin that brings the loopback of a pod up. It needs no daemon, so that a pod can be taken away without one. */
export function formatLoopback(): string {
  return `#!/bin/sh
# CNI plugin: brings the loopback up. Written by the network daemon of centaurus.
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
${READ_VERSION}
case \${CNI_COMMAND-} in
  ADD)
    if ! said=$(nsenter --net="\${CNI_NETNS-}" ip link set lo up 2>&1); then
      said=$(printf %s "$said" | tr -d '"\\\\' | tr '\\n' ' ')
      printf '{"cniVersion":"%s","code":${CNI_CODES.inputOutput},"msg":"Cannot bring the loopback up: %s"}\\n' "$version" "$said"
      exit 1
    fi
    case $version in 0.*) old='"version":"4",' ;; *) old= ;; esac
    printf '{"cniVersion":"%s","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","sandbox":"%s"}],' "$version" "$CNI_NETNS"
    printf '"ips":[{%s"address":"127.0.0.1/8","interface":0}],"dns":{}}\\n' "$old" ;;
  VERSION) printf '{"cniVersion":"%s","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\\n' "$version" ;;
esac
`
}

/** Reads the configuration from standard input, and the version that it names, without another process. */
const READ_VERSION = `config=
    while IFS= read -r line || [ -n "$line" ]; do config="$config$line"; done
    version=\${config#*\\"cniVersion\\"} version=\${version#*\\"} version=\${version%%\\"*}`

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
