import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { createAccessExtension } from './access/access-extension.ts'
import { createKubeconfig } from './certificates/kubeconfig.ts'
import { openClusterCertificates } from './certificates/cluster-certificates.ts'
import { createCrdExtension } from './crd/crd-extension.ts'
import { createDiscoveryExtension } from './discovery/discovery-extension.ts'
import { createOpenApiExtension } from './discovery/openapi-extension.ts'
import { createProxyExtension } from './proxy/proxy-extension.ts'
import { kubectlPath, runKubectl, type KubectlOptions, type KubectlResult } from './testing/kubectl.ts'
import { startTestNode, type TestNode } from './testing/test-node.ts'
import { startTestServer, type TestServer } from './testing/test-server.ts'
import { createTokenSigner } from './tokens/signing-key.ts'

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: widgets, kind: Widget, shortNames: [wd] }
  versions:
    - name: v1
      served: true
      storage: true
      additionalPrinterColumns: [{ name: Size, type: integer, jsonPath: .spec.size }]
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, properties: { size: { type: integer, description: How big it is } } }
`
const WIDGET = '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":3}}'

describe('the real kubectl', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kubectl-'))
  let test: TestServer
  let node: TestNode
  before(async () => {
    // the certificates of the test server are its own: the node's and the users' come from the same authority
    const certificates = await openClusterCertificates({ directory: join(directory, 'pki') })
    const { authority } = certificates
    node = await startTestNode(
      authority,
      await certificates.server('node', { commonName: 'system:node:n', alternativeNames: ['127.0.0.1'] }),
    )
    const toNodes = await certificates.client('kubelet-client', { commonName: 'kube-apiserver-kubelet-client' })
    test = await startTestServer({
      certificates,
      extensions: [
        createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
        createDiscoveryExtension(),
        createOpenApiExtension(),
        createCrdExtension(),
        createProxyExtension({
          tls: { ca: authority.certificatePem, cert: toNodes.certificatePem, key: toNodes.keyPem },
        }),
      ],
    })
    for (const [file, identity] of Object.entries(USERS)) {
      const user = await certificates.client(file, identity)
      const server = `https://127.0.0.1:${test.port}`
      const text = createKubeconfig({
        server,
        ca: authority.certificatePem,
        cert: user.certificatePem,
        key: user.keyPem,
      })
      writeFileSync(join(directory, file), text, { mode: 0o600 })
    }
    await test.client.create(nodes, { metadata: { name: 'n' } })
    const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }]
    const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: node.port } } }
    await test.client.updateStatus(nodes, { metadata: { name: 'n' }, status })
    const metadata = { name: 'p', namespace: 'default' }
    await test.client.create(pods, { metadata, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'x' }] } })
    const pod = await test.client.get(pods, metadata)
    await test.client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Running' } })
  })
  after(async () => {
    await test.close()
    await node.close()
    rmSync(directory, { recursive: true })
  })

  for (const minor of [31, 35] as const) {
    const run = (args: string, more: Partial<KubectlOptions> = {}): Promise<KubectlResult> =>
      runKubectl(args.split(' '), { kubeconfig: join(directory, 'admin'), minor, ...more })
    const output = async (args: string, more: Partial<KubectlOptions> = {}): Promise<string> => {
      const result = await run(args, more)
      assert.equal(result.code, 0, result.stderr)
      return result.stdout
    }

    it(`1.${minor} finds its way by discovery and OpenAPI`, async () => {
      assert.match(await output('api-resources'), /deployments\s+deploy\s+apps\/v1\s+true\s+Deployment/)
      assert.match(await output('explain pod.spec.containers.image'), /image <string>/)
      assert.match(await output('get pods'), /^NAME\s+READY\s+STATUS/)
    })

    it(`1.${minor} is told who may do what`, async () => {
      assert.match(await output('auth whoami'), /kubernetes-admin/)
      const jane = { kubeconfig: join(directory, 'jane') }
      assert.match(
        (await run('get secrets', jane)).stderr,
        /secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "default"/,
      )
      assert.equal((await run('auth can-i list secrets', jane)).stdout, 'no\n')
      await output(`create rolebinding jane-${minor} --clusterrole=view --user=jane`)
      assert.equal((await run('auth can-i list pods', jane)).stdout, 'yes\n')
      assert.match(
        (await run(`create clusterrolebinding up --clusterrole=cluster-admin --user=jane`, jane)).stderr,
        /is forbidden/,
      )
      await output(`delete rolebinding jane-${minor}`)
    })

    it(`1.${minor} gets a token that is an account`, async () => {
      const token = (await output('create token default')).trim()
      const answer = await test.request('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
        headers: { authorization: `Bearer ${token}` },
      })
      const { userInfo } = answer.json().status as { userInfo: { username: string } }
      assert.equal(userInfo.username, 'system:serviceaccount:default:default')
    })

    it(`1.${minor} works with custom resources`, async () => {
      await output('apply -f -', { input: WIDGETS })
      await output('wait --for=condition=Established crd/widgets.example.com --timeout=5s')
      assert.match(await output('apply -f -', { input: WIDGET }), /widget.example.com\/a created/)
      assert.match(await output('get wd'), /NAME\s+SIZE\na\s+3/)
      assert.match(await output('explain widget.spec.size'), /How big it is/)
      await output('delete crd widgets.example.com')
      assert.notEqual((await run('get wd')).code, 0)
    })

    for (const protocol of ['WebSocket', 'SPDY']) {
      const flag = String(protocol === 'WebSocket')
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: flag, KUBECTL_PORT_FORWARD_WEBSOCKETS: flag }

      it(`1.${minor} runs commands over ${protocol}`, async () => {
        assert.equal(await output('exec p -- hello there', { env }), 'HELLO THERE')
        assert.equal(await output('exec -i p -- cat', { env, input: 'some input' }), 'SOME INPUT')
        const failed = await run('exec p -- fail', { env })
        assert.deepEqual([failed.code, failed.stdout], [7, 'FAIL'])
      })

      it(`1.${minor} forwards ports over ${protocol}`, async () => {
        const child = spawn(kubectlPath(minor), ['port-forward', '--address=127.0.0.1', 'p', ':8080'], {
          env: { ...env, KUBECONFIG: join(directory, 'admin'), HOME: directory },
        })
        try {
          const port = await new Promise<number>((resolve, reject) => {
            child.stdout.on('data', (chunk: Buffer) =>
              resolve(Number(/127\.0\.0\.1:(\d+)/.exec(chunk.toString())?.[1])),
            )
            child.on('exit', () => reject(new Error('kubectl ended')))
          })
          for (let i = 0; i < 2; i++) assert.equal(await echo(port, 'ping'), '8080:ping')
        } finally {
          child.kill()
        }
      })
    }

    it(`1.${minor} reads logs`, async () => {
      assert.equal(await output('logs p --tail=3'), 'GET /containerLogs/default/p/c\n')
    })
  }
})

const USERS = {
  admin: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
  jane: { commonName: 'jane' },
}

function echo(port: number, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(sent))
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString()
      if (!received.endsWith(sent)) return
      socket.destroy()
      resolve(received)
    })
  })
}
