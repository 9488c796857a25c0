import type { NonResourceRoute } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { respondValue } from '../respond/respond.ts'

/** Name → check; a thrown error's message is the reason. */
export type HealthChecks = Readonly<Record<string, () => void>>

/** `/livez`, `/readyz` and `/healthz` with `?verbose`, `?exclude=` and a path for each check. Source: apiserver pkg/server/healthz. */
export function healthRoutes(
  checks: () => { readonly live: HealthChecks; readonly ready: HealthChecks },
): NonResourceRoute[] {
  const endpoint = (name: string, list: () => HealthChecks): NonResourceRoute[] => {
    const handle: NonResourceRoute['handle'] = (exchange, { info }) =>
      answer(exchange, { name, path: info.path }, list())
    return [
      { path: `/${name}`, methods: ['GET', 'HEAD'], forTenants: true, handle },
      { path: `/${name}/`, methods: ['GET', 'HEAD'], forTenants: true, handle },
    ]
  }
  return [
    ...endpoint('livez', () => checks().live),
    ...endpoint('readyz', () => ({ ...checks().live, ...checks().ready })),
    ...endpoint('healthz', () => checks().live),
  ]
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }

function answer(
  exchange: Exchange,
  { name: endpoint, path }: { readonly name: string; readonly path: string },
  checks: HealthChecks,
): void {
  const only = path.split('/').slice(2).join('/')
  if (only !== '' && !(only in checks)) {
    exchange.respond(404, PLAIN, '404 page not found\n')
    return
  }
  const excluded = new Set(exchange.query.getAll('exclude'))
  const lines: string[] = []
  let failed = false
  for (const [name, check] of Object.entries(checks)) {
    if (only !== '' && name !== only) continue
    if (excluded.has(name)) {
      lines.push(`[+]${name} excluded: ok`)
      continue
    }
    const reason = run(check)
    failed ||= reason !== undefined
    lines.push(reason === undefined ? `[+]${name} ok` : `[-]${name} failed: ${reason}`)
  }
  if (failed) exchange.respond(500, PLAIN, `${lines.join('\n')}\n${endpoint} check failed\n`)
  else if (exchange.query.has('verbose'))
    exchange.respond(200, PLAIN, `${lines.join('\n')}\n${endpoint} check passed\n`)
  else exchange.respond(200, PLAIN, 'ok')
}

function run(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The Kubernetes release whose API this is, in the form that clients parse. */
export const VERSION = {
  major: '1',
  minor: '37',
  emulationMajor: '1',
  emulationMinor: '37',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '36',
  gitVersion: 'v1.37.2+centaurus',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

/** `/version`. */
export const versionRoute: NonResourceRoute = {
  path: '/version',
  methods: ['GET'],
  forTenants: true,
  handle: (exchange) => respondValue(exchange, 200, { value: VERSION }),
}
