import assert from 'node:assert/strict'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'

import type { Pod } from '@centaurus/api/core/v1'
import { silentLogger, systemClock } from '@centaurus/base'
import { dialPortForward, dialRemoteCommand } from '@centaurus/streams'

import { makeTestCertificates, type TestCertificates } from '../testing/certificates.ts'
import { BUSYBOX, startContainerdWorld, type ContainerdWorld } from '../testing/containerd-world.ts'
import { isInNamespaces, runInNamespaces } from '../testing/namespaces.ts'
import { createReviewClient } from '../testing/review-client.ts'
import { createDelegatedAccess } from './access.ts'
import { startKubeletServer, type KubeletServer } from './kubelet-server.ts'

if (!isInNamespaces()) {
  describe('the kubelet server on containerd', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('the kubelet server on containerd', () => {
    let world: ContainerdWorld
    let server: KubeletServer
    let certificates: TestCertificates

    before(async () => {
      certificates = makeTestCertificates()
      world = await startContainerdWorld()
      const tls = { ...certificates, clientCa: certificates.ca }
      server = await startKubeletServer({
        tls,
        agents: () => [world.agent],
        access: createDelegatedAccess({ client: createReviewClient({ allowed: ['127.0.0.1 *'] }), clock: systemClock }),
        clock: systemClock,
        logger: silentLogger,
        host: '127.0.0.1',
        port: 0,
      })
      const script = 'echo one; echo two; echo three; mkdir /www; echo page > /www/index.html; httpd -f -p 8080 -h /www'
      await world.createPod('web', { containers: [{ name: 'main', image: BUSYBOX, command: ['sh', '-c', script] }] })
      await world.createPod('again', {
        containers: [{ name: 'main', image: BUSYBOX, command: ['sh', '-c', 'echo run; exit 1'] }],
      })
      await world.waitForPod('web', (pod: Pod) => pod.status?.phase === 'Running')
      await world.waitForPod(
        'again',
        (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
      )
    })
    after(async () => {
      await server?.close()
      await world?.close()
    })

    const url = (path: string): URL => new URL(`https://127.0.0.1:${server.port}${path}`)
    const get = (path: string): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        const { ca, cert, key } = certificates
        const outgoing = request(url(path), { ca, cert, key, agent: false }, (response) => {
          text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
        })
        outgoing.on('error', reject)
        outgoing.end()
      })

    it('serves logs', async () => {
      while (!(await get('/containerLogs/default/web/main')).body.includes('three')) await systemClock.sleep(20)
      assert.equal((await get('/containerLogs/default/web/main')).body, 'one\ntwo\nthree\n')
      assert.equal((await get('/containerLogs/default/web/main?tailLines=1')).body, 'three\n')
      assert.equal((await get('/containerLogs/default/web/main?limitBytes=5')).body, 'one\nt')
      assert.match(
        (await get('/containerLogs/default/web/main?timestamps=true&tailLines=1')).body,
        /^\d{4}-\d\d-\d\dT\S+ three\n$/,
      )
    })

    it('serves the log of the run before', async () => {
      assert.equal((await get('/containerLogs/default/again/main?previous=true')).body, 'run\n')
      const missing = await get('/containerLogs/default/web/main?previous=true')
      assert.deepEqual(missing, { status: 400, body: 'previous terminated container "main" in pod "web" not found' })
    })

    it('refuses what is not there', async () => {
      assert.equal((await get('/containerLogs/default/none/main')).status, 404)
      assert.equal((await get('/containerLogs/default/web/none')).body, 'container "none" not found in pod "web"')
    })

    it('runs a command with its streams and exit code', async () => {
      const target = {
        url: url(
          '/exec/default/web/main?input=1&output=1&error=1&command=sh&command=-c&command=cat;+echo+oops+>%262;+exit+3',
        ),
        tls: certificates,
      }
      const client = await dialRemoteCommand(target, { stdin: true, stdout: true, stderr: true, tty: false })
      client.stdin?.end('typed')
      const [stdout, stderr, status] = await Promise.all([text(client.stdout!), text(client.stderr!), client.status])
      assert.equal(stdout, 'typed')
      assert.equal(stderr, 'oops\n')
      assert.deepEqual(
        [status.reason, status.details?.causes],
        ['NonZeroExitCode', [{ reason: 'ExitCode', message: '3' }]],
      )
      client.close()
    })

    it('forwards a port', async () => {
      const client = await dialPortForward({ url: url('/portForward/default/web?port=8080'), tls: certificates })
      const { data } = client.connect(8080)
      data.end('GET /index.html HTTP/1.0\r\n\r\n')
      assert.match(await text(data), /page\n$/)
      client.close()
    })

    it('tells what pods use', async () => {
      const summary = JSON.parse((await get('/stats/summary')).body) as {
        pods: { podRef: { name: string }; memory: { workingSetBytes: number } }[]
      }
      const web = summary.pods.find(({ podRef }) => podRef.name === 'web')
      assert.ok((web?.memory.workingSetBytes ?? 0) > 0)
      assert.match(
        (await get('/metrics/resource')).body,
        /container_memory_working_set_bytes\{container="main",namespace="default",pod="web"\} \d+/,
      )
    })

    it('tells of itself', async () => {
      assert.equal((await get('/healthz/syncloop')).body, 'ok')
      assert.equal((await get('/healthz/none')).status, 404)
      assert.match((await get('/configz')).body, /"kind":"KubeletConfiguration"/)
      const running = JSON.parse((await get('/runningpods/')).body) as { items: Pod[] }
      assert.deepEqual(
        running.items.map(({ metadata }) => metadata.name).filter((name) => name !== 'again'),
        ['web'],
      )
      assert.match((await get('/metrics')).body, /^kubelet_running_pods \d+$/m)
      assert.match((await get('/metrics/resource')).body, /^node_memory_working_set_bytes [1-9]\d* \d+$/m)
      assert.match((await get('/metrics/cadvisor')).body, /^container_memory_usage_bytes\{container="main",id="/m)
    })

    it('refuses clients without a certificate', async () => {
      const status = await new Promise((resolve, reject) => {
        request(url('/pods'), { ca: certificates.ca, agent: false }, ({ statusCode }) => resolve(statusCode))
          .on('error', reject)
          .end()
      })
      assert.equal(status, 401)
      const streams = { stdin: false, stdout: true, stderr: false, tty: false }
      const target = { url: url('/exec/default/web/main?output=1&command=id'), tls: { ca: certificates.ca } }
      await assert.rejects(dialRemoteCommand(target, streams), /Unauthorized|401/)
    })
  })
}
