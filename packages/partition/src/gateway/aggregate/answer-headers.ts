import type { AnswerHeaders, FrontRequest } from '../front-request.ts'

/** Headers of an answer that the gateway puts together, as an API server's. */
export function answerHeaders(
  { headers }: FrontRequest,
  contentType: string,
  extra: Readonly<Record<string, string>> = {},
): AnswerHeaders {
  const auditId = headers['audit-id']
  return {
    'content-type': contentType,
    'cache-control': 'no-cache, private',
    ...(typeof auditId === 'string' ? { 'audit-id': auditId } : {}),
    ...extra,
  }
}
