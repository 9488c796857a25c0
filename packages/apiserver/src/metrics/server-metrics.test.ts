import assert from 'node:assert/strict'
import { it } from 'node:test'
import { startTestServer } from '../testing/test-server.ts'

it('serves what it measures as Prometheus text, with bounded labels', async () => {
  const test = await startTestServer()
  await test.request('GET', '/api/v1/namespaces')
  await test.request('GET', '/api/v1/no-such-thing')
  await test.request('GET', '/api/v1/nor-this')
  const { text, status } = await test.request('GET', '/metrics')
  assert.equal(status, 200)
  assert.match(
    text,
    /apiserver_request_total\{verb="LIST",group="",version="v1",resource="namespaces",subresource="",code="200"\} 1/,
  )
  assert.match(
    text,
    /apiserver_request_total\{verb="LIST",group="",version="",resource="",subresource="",code="404"\} 2/,
  )
  assert.match(text, /apiserver_storage_objects\{group="",resource="namespaces"\} 4/)
  assert.match(text, /process_resident_memory_bytes [1-9]/)
  await test.close()
})
