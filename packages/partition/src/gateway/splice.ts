import type { Backend } from './backend.ts'
import type { Caller } from './caller.ts'
import type { GatewayTls } from './endpoint.ts'
import type { FrontRequest } from './front-request.ts'
import { passAnswerHeaders, passRequestHeaders } from './pass-headers.ts'
import { joinUpgraded, repeatUpgrade } from './upgrade.ts'

/**
 * Repeats the client's upgrade at the partition, and joins the two connections byte for byte when that agrees. Any other answer is passed on.
 */
export async function splice(
  request: FrontRequest,
  caller: Caller,
  { backend, tls }: { readonly backend: Backend; readonly tls: GatewayTls },
): Promise<void> {
  const { connection = 'Upgrade', upgrade = '' } = request.headers
  const { ca, cert, key } = tls
  const answer = await repeatUpgrade(backend, {
    method: request.method,
    path: request.target,
    headers: { ...passRequestHeaders(request, caller), connection, upgrade },
    tls: caller.identity === undefined ? { ca } : { ca, cert, key },
    onClose: (listener) => request.onClose(listener),
  })
  if (answer.type === 'refused') {
    const { response, body } = answer
    return request.answer(response.statusCode ?? 502, passAnswerHeaders(response.headers), body)
  }
  if (request.upgrade === undefined || request.settled) return void answer.socket.destroy()
  joinUpgraded({ socket: request.upgrade.take(), head: request.upgrade.head }, answer)
}
