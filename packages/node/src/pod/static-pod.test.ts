import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { isMirrorPod, isStaticPod, makeMirrorPod, mirroredUid, parseStaticPod } from './static-pod.ts'

const options = { nodeName: 'node-1', path: '/manifests/web.yaml', nowMs: 0 }
const manifest = `
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  containers: [{ name: main, image: "app:1" }]
`

describe('a static pod', () => {
  it('is named for its node, has a uid of its content, and stays where it is', () => {
    const pod = parseStaticPod(manifest, options)
    assert.equal(pod.metadata.name, 'web-node-1')
    assert.equal(pod.metadata.namespace, 'default')
    assert.match(pod.metadata.uid ?? '', /^[0-9a-f]{32}$/)
    assert.equal(pod.metadata.annotations?.['kubernetes.io/config.hash'], pod.metadata.uid)
    assert.equal(pod.spec?.nodeName, 'node-1')
    assert.equal(pod.spec?.restartPolicy, 'Always')
    assert.deepEqual(pod.spec?.tolerations, [{ operator: 'Exists', effect: 'NoExecute' }])
    assert.equal(parseStaticPod(manifest, options).metadata.uid, pod.metadata.uid)
    assert.notEqual(parseStaticPod(manifest.replace('app:1', 'app:2'), options).metadata.uid, pod.metadata.uid)
  })

  it('is shown by a mirror that its node owns', () => {
    const pod = parseStaticPod(manifest, options)
    const mirror = makeMirrorPod(pod, { metadata: { name: 'node-1', uid: 'n' } })
    assert.deepEqual([isStaticPod(pod), isMirrorPod(pod)], [true, false])
    assert.deepEqual([isStaticPod(mirror), isMirrorPod(mirror), mirroredUid(mirror)], [false, true, pod.metadata.uid])
    assert.equal(mirror.metadata.uid, undefined)
    assert.deepEqual(mirror.metadata.ownerReferences?.[0]?.kind, 'Node')
  })

  it('is refused with what is wrong', () => {
    const parse = (text: string) => () => parseStaticPod(text, options)
    assert.throws(parse('kind: Service\napiVersion: v1'), /cannot be handled as a Pod/)
    assert.throws(parse('kind: [').bind(undefined), /YAML/)
    assert.throws(parse(manifest.replace('name: web', 'labels: {}')), /name is needed/)
    assert.throws(parse(`${manifest}  volumes: [{ name: v, configMap: { name: x } }]`), /may not reference configmaps/)
    assert.throws(parse(manifest.replace('name: main', 'name: "B A D"')), /invalid pod: \[spec\.containers\[0\]\.name/)
  })
})
