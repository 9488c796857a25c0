import type { Recorder } from '../lib/trace.ts'

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'

/** What the servers say about themselves. */
export async function discoveryBattery(recorder: Recorder): Promise<void> {
  const get = (path: string, headers = {}) =>
    recorder.call(`GET ${path} ${Object.values(headers).join()}`, { method: 'GET', path, headers })
  for (const path of ['/version', '/api', '/apis', '/api/v1']) await get(path)
  for (const path of ['/api', '/apis']) {
    await get(path, { accept: AGGREGATED })
    await get(path, { accept: AGGREGATED.replace('v2', 'v2beta1') })
  }
  const groups = (await recorder.prepare({ method: 'GET', path: '/apis' })).object as unknown as {
    groups: { name: string; versions: { groupVersion: string }[] }[]
  }
  for (const { name, versions } of groups.groups) {
    await get(`/apis/${name}`)
    for (const { groupVersion } of versions) await get(`/apis/${groupVersion}`)
  }
  const index = (await recorder.prepare({ method: 'GET', path: '/openapi/v3' })).object as unknown as { paths: object }
  recorder.note('openapi/v3 paths', Object.keys(index.paths).toSorted())
  for (const path of ['api/v1', 'apis/apps/v1', 'apis/batch/v1', 'version']) await openApi(recorder, path)
}

/** The documents are large: their paths and schemas are recorded one by one. */
async function openApi(recorder: Recorder, path: string): Promise<void> {
  const { object } = await recorder.prepare({ method: 'GET', path: `/openapi/v3/${path}` })
  const { paths, components } = object as unknown as {
    paths: Record<string, object>
    components?: { schemas?: Record<string, object> }
  }
  for (const [key, value] of Object.entries(paths ?? {})) recorder.note(`openapi ${path} ${key}`, withoutTexts(value))
  for (const [key, value] of Object.entries(components?.schemas ?? {}))
    recorder.note(`openapi ${path} ${key}`, withoutTexts(value))
}

function withoutTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTexts)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value as Record<string, unknown>).filter(
    ([key, item]) => key !== 'description' || typeof item !== 'string',
  )
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutTexts(item)]))
}
