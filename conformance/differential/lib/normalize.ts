/** What differs between any two runs, by what it is replaced. Applied to the text of every string. */
const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<uid>'],
  [/\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+]0000 UTC( m=\S+)?)/g, '<time>'],
  [/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access-<random>'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '<jwt>'],
  [/\b10\.96\.\d+\.\d+\b/g, '<clusterIP>'],
  [/(127\.0\.0\.1|192\.0\.2\.10):\d+/g, '<address>'],
  [/\b(resourceVersion|resource version): "?\d+"?/g, '$1: <rv>'],
  [/(generated-)[a-z0-9]{5}/g, '$1<random>'],
  [/too old resource version: \d+ \(\d+\)/g, 'too old resource version: <rv> (<rv>)'],
]

/** Fields whose values are the server's own choice. */
const VOLATILE_FIELDS: Readonly<Record<string, string>> = {
  uid: '<uid>',
  resourceVersion: '<rv>',
  creationTimestamp: '<time>',
  deletionTimestamp: '<time>',
  selfLink: '<link>',
  nodePort: '<port>',
  healthCheckNodePort: '<port>',
  token: '<token>',
  continue: '<continue>',
}

/** A value of JSON with what differs between any two runs replaced; `run` is the run's own suffix of names. */
export function normalize(value: unknown, run: string): unknown {
  if (typeof value === 'string') return normalizeText(value, run)
  if (Array.isArray(value)) return value.map((item) => normalize(item, run))
  if (typeof value !== 'object' || value === null) return value
  dropWhatDiffersOnPurpose(value as Record<string, unknown>)
  const entries = Object.entries(value as Record<string, unknown>).map(([key, item]) => [
    normalizeText(key, run),
    normalizeField(key, item, run),
  ])
  return Object.fromEntries(entries)
}

/** See docs/differences.md. */
function dropWhatDiffersOnPurpose(object: Record<string, unknown>): void {
  if (typeof object['kind'] === 'string' && object['kind'].endsWith('List') && Array.isArray(object['items'])) {
    object['items'] = object['items'].map(
      ({ kind: _kind, apiVersion: _apiVersion, ...item }: Record<string, unknown>) => item,
    )
  }
  if (Array.isArray(object['columnDefinitions'])) {
    object['columnDefinitions'] = object['columnDefinitions'].map(
      ({ description: _text, ...column }: Record<string, unknown>) => column,
    )
  }
  if (typeof object['gitVersion'] === 'string') {
    for (const key of ['gitVersion', 'gitCommit', 'gitTreeState', 'goVersion', 'compiler', 'buildDate'])
      delete object[key]
  }
}

function normalizeField(key: string, value: unknown, run: string): unknown {
  if (key === 'managedFields' && Array.isArray(value)) return sortManagers(normalize(value, run) as object[])
  const replacement = VOLATILE_FIELDS[key]
  if (replacement !== undefined && (typeof value === 'string' || typeof value === 'number') && value !== '') {
    return replacement
  }
  return normalize(value, run)
}

function sortManagers(list: object[]): object[] {
  const keyOf = (entry: object): string => {
    const { manager, operation, subresource, apiVersion } = entry as Record<string, string | undefined>
    return `${manager} ${operation} ${subresource} ${apiVersion}`
  }
  return list.toSorted((a, b) => keyOf(a).localeCompare(keyOf(b)))
}

export function normalizeText(text: string, run: string): string {
  let result = text.replaceAll(run, 'RUN')
  for (const [pattern, replacement] of VOLATILE) result = result.replace(pattern, replacement)
  return result
}
