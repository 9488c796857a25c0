import type { Command } from 'commander'
import type { GatewayFlags } from './commands/gateway.ts'
import { openHome } from './home.ts'
import { parsePort } from './settings.ts'

/** `centaurus gateway`; the commands are loaded when they run. */
export function addGatewayCommands(program: Command): void {
  program
    .command('gateway')
    .description('start one address for all partitions of the cluster; several may run; safe to run again')
    .option('--port <port>', 'its port (default 8443)', parsePort)
    .option('--listen <address>', 'listen on this address alone')
    .option('--advertise <host>', 'name or address by which clients reach it')
    .option('--remove', 'stop it and forget it')
    .action(async (flags: GatewayFlags) => (await import('./commands/gateway.ts')).gateway(openHome(), flags))
  program
    .command('gateway-server', { hidden: true })
    .description('run the gateway that was set up in this home in the foreground')
    .action(async () => (await import('./commands/gateway-server.ts')).runGateway(openHome()))
}
