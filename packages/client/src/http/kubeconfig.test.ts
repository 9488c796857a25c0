import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseKubeconfig } from './kubeconfig.ts'

const text = `
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: team}}
- {name: two, context: {cluster: c, user: missing}}
clusters:
- {name: c, cluster: {server: 'https://127.0.0.1:6443/tenants/t', certificate-authority-data: ${btoa('CA')}}}
users:
- {name: u, user: {token: abc, client-key-data: ${btoa('KEY')}}}
`

describe('kubeconfig', () => {
  it('resolves the current context with its inline data', async () => {
    const { config, context, namespace } = await parseKubeconfig(text)
    assert.equal(context, 'one')
    assert.equal(namespace, 'team')
    assert.equal(config.server, 'https://127.0.0.1:6443/tenants/t')
    assert.equal(config.token, 'abc')
    assert.equal(Buffer.from(config.ca as Uint8Array).toString(), 'CA')
    assert.equal(Buffer.from(config.key as Uint8Array).toString(), 'KEY')
  })

  it('says what is missing and what there is', async () => {
    await assert.rejects(
      parseKubeconfig(text, { context: 'three' }),
      /Cannot find context "three" in the kubeconfig: it has one, two/,
    )
    await assert.rejects(parseKubeconfig(text, { context: 'two' }), /Cannot find user "missing"/)
  })
})
