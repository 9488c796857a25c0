/** A webhook in the network of a test: prints where it is and whom to trust, as JSON, and serves until it is ended. */
import { openClusterCertificates } from '@centaurus/apiserver/certificates'
import { jsonPatch, startWebhookServer } from '@centaurus/apiserver/testing/webhook-server'

const hook = await startWebhookServer(await openClusterCertificates(), { names: ['hook.default.svc'], host: '0.0.0.0' })
hook.answer('/mutate', () => jsonPatch({ op: 'add', path: '/data/seen', value: 'yes' }))
hook.answer('/validate', ({ object }) => {
  const { bad } = (object?.['data'] ?? {}) as { bad?: string }
  if (bad !== undefined) return { allowed: false, status: { code: 403, reason: 'Forbidden', message: `${bad} is bad` } }
  return { allowed: true, warnings: ['somebody is watching'] }
})
process.stdout.write(`${JSON.stringify({ port: hook.port, caBundle: hook.caBundle })}\n`)
