export {
  offeredProtocols,
  refuseUpgrade,
  SPDY_UPGRADE,
  STREAM_PROTOCOL_HEADER,
  upgradeKindOf,
  type UpgradedConnection,
  type UpgradeKind,
} from './connection.ts'
export { DialRefusedError, dialSpdySocket, type DialedConnection, type DialTarget, type DialTls } from './dial.ts'
export { dialPortForward, type PortForwardClient } from './port-forward/dial.ts'
export {
  PORT_FORWARD_PROTOCOL,
  PORT_FORWARD_TUNNEL_PROTOCOL,
  servePortForward,
  type ForwardedPort,
  type PortForwardSession,
} from './port-forward/serve.ts'
export { dialRemoteCommand } from './remote-command/dial.ts'
export {
  exitStatus,
  failureStatus,
  type RemoteCommandClient,
  type RemoteCommandSession,
  type RemoteCommandStatus,
  type RemoteCommandStreams,
  type TerminalSize,
} from './remote-command/protocol.ts'
export { serveRemoteCommand } from './remote-command/serve.ts'
export { SpdyConnection, type SpdyConnectionOptions, type SpdyStream } from './spdy/spdy-connection.ts'
export { acceptWebSocket, type AcceptedWebSocket } from './websocket/accept-websocket.ts'
export { createWebSocketDuplex } from './websocket/websocket-duplex.ts'
