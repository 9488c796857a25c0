import { status, type handleUnaryCall, type sendUnaryData } from '@grpc/grpc-js'

/** A gRPC handler of a function; what that throws is the text of an error of code Unknown, as a Go server has it. */
export function answerUnary<In, Out>(answer: (request: In) => Out | Promise<Out>): handleUnaryCall<In, Out> {
  return ({ request }, done) => void respond(answer, request, done)
}

async function respond<In, Out>(
  answer: (request: In) => Out | Promise<Out>,
  request: In,
  done: sendUnaryData<Out>,
): Promise<void> {
  let response: Out
  try {
    response = await answer(request)
  } catch (error) {
    done({ code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) })
    return
  }
  done(null, response)
}
