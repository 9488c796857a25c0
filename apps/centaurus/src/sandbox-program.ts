import type { Command } from 'commander'
import { openHome } from './home.ts'

/** `centaurus sandbox …`; the commands are loaded when they run. */
export function addSandboxCommands(program: Command): void {
  const sandbox = program
    .command('sandbox')
    .description('run pods on a kernel of their own: runtimeClassName: quark')
    .addHelpText('after', HELP)
  sandbox
    .command('install')
    .description('build the sandbox runtime for this node and offer it to pods; safe to run again')
    .action(async () => (await import('./commands/sandbox-install.ts')).installSandbox(openHome()))
}

const HELP = `
A pod that says runtimeClassName: quark gets a kernel of its own, in user space: its programs never call the kernel of the node.
The runtime is built from source, once; that takes a minute or two and needs Rust. As root on Debian or Ubuntu, Rust is installed.

Examples:
  ./centaurus sandbox install
  ./centaurus kubectl run hello --image localhost/centaurus/busybox:1 --restart Never --overrides '{"spec":{"runtimeClassName":"quark"}}' -- uname -a
  quark run --bundle DIR ID               or without a cluster: it is an OCI runtime`
