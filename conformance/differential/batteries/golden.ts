import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { resources } from '@centaurus/api'
import { apiVersionOf, collectionPath, prepareNamespace, titleOf } from '../lib/paths.ts'
import type { Battery } from '../lib/trace.ts'

/**
 * Sends upstream's golden objects, in which every field has a value and few are valid: what comes back is mostly lists of
 * validation errors. `folder` is `testdata/HEAD` of the Go module k8s.io/api.
 */
export function goldenBattery(folder: string): Battery {
  return async (recorder) => {
    const namespace = await prepareNamespace(recorder, 'gold')
    const files = new Set(readdirSync(folder))
    for (const info of resources()) {
      const file = `${info.group === '' ? 'core' : info.group}.${info.version}.${info.kind}`
      if (!files.has(`${file}.json`) || !info.verbs.includes('create')) continue
      const path = `${collectionPath(info, namespace)}?dryRun=All`
      const object = JSON.parse(readFileSync(join(folder, `${file}.json`), 'utf8')) as {
        metadata: Record<string, unknown>
      }
      const body = { ...object, apiVersion: apiVersionOf(info), metadata: { name: 'golden' } }
      await recorder.call(`${titleOf(info)}: golden`, { method: 'POST', path, body })
      const bare = {
        ...object.metadata,
        namespace: info.namespaced ? namespace : undefined,
        resourceVersion: undefined,
      }
      await recorder.call(`${titleOf(info)}: golden with its metadata`, {
        method: 'POST',
        path,
        body: { ...body, metadata: bare },
      })
      const protobuf = join(folder, `${file}.pb`)
      if (!existsSync(protobuf)) continue
      const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' }
      await recorder.call(`${titleOf(info)}: golden protobuf`, {
        method: 'POST',
        path,
        body: readFileSync(protobuf),
        headers,
      })
    }
  }
}
