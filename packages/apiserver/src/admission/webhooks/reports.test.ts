import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createManualClock, silentLogger, type Logger } from '@centaurus/base'
import { Complaints, type WebhookReport } from './reports.ts'

it('logs a webhook that can’t be asked once a minute', async () => {
  const logged: unknown[] = []
  const logger: Logger = { ...silentLogger, warn: (_text, facts) => void logged.push(facts?.['webhook']) }
  const clock = createManualClock()
  const complaints = new Complaints(clock, logger)
  const report = { tenant: 't', mutating: true, operation: 'CREATE', failurePolicy: 'Fail', seconds: 1 } as const
  const take = (webhook: string, outcome: WebhookReport['outcome']): void =>
    complaints.take({ ...report, webhook, outcome, error: 'x' })
  for (const webhook of ['a', 'a', 'b']) take(webhook, 'failed')
  take('c', 'denied')
  assert.deepEqual(logged, ['a', 'b'])
  await clock.advance(60_000)
  take('a', 'failed')
  assert.deepEqual(logged, ['a', 'b', 'a'])
})
