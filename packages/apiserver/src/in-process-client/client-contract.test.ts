import { describeClientContract } from '@centaurus/client/testing'
import { createHttpClient } from '@centaurus/client/http'
import { startTestServer } from '../testing/test-server.ts'

describeClientContract('The in-process client', async () => {
  const { client, close } = await startTestServer()
  return { client, close }
})

describeClientContract('The HTTP client', async () => {
  const test = await startTestServer()
  const client = createHttpClient({
    server: `https://127.0.0.1:${test.port}`,
    ca: test.certificates.authority.certificatePem,
  })
  return {
    client,
    async close() {
      await client.close()
      await test.close()
    },
  }
})
