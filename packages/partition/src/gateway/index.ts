/** A door of its own: a control plane does without the gateway's code. */
export { startGateway, type Gateway, type GatewayOptions } from './gateway.ts'
