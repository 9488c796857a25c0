import { importsOf, type SourceFile } from './source-files.ts'

/** What each package may import of ours. Source: the design's order of layers. Tests may import more: {@link TEST_ONLY}. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  api: ['base'],
  store: ['base'],
  streams: ['base'],
  client: ['base', 'api'],
  apiserver: ['base', 'api', 'store', 'client', 'streams'],
  controllers: ['base', 'api', 'client'],
  scheduler: ['base', 'api', 'client'],
  node: ['base', 'api', 'client', 'streams'],
  network: ['base', 'api', 'client'],
  gpu: ['base', 'api', 'client'],
  partition: ['base', 'api', 'store', 'client', 'apiserver', 'streams'],
  sandbox: ['base'],
  simulation: ['base', 'api', 'store', 'client', 'node', 'streams'],
}

/** Packages whose product code must run in a browser: no Node built-ins. */
const BROWSER = new Set(['base', 'api', 'client'])

/** Files of browser packages that are for Node alone, with the reason. */
const NODE_ONLY_FILES: Readonly<Record<string, string>> = {
  'packages/client/src/http': 'the HTTP/2 transport; a browser brings its own',
  'packages/client/src/kubeconfig': 'reads files',
}

/** Only engines touch a database, only the CRI runtime speaks gRPC, and so on: dependency → folders that may import it. */
const OWNED_DEPENDENCIES: Readonly<Record<string, readonly string[]>> = {
  lmdb: ['packages/store/src'],
  '@grpc/grpc-js': ['packages/node/src', 'packages/gpu/src', 'bench'],
  koffi: ['packages/network/src/kernel', 'packages/gpu/src/sources/nvml'],
  ws: ['packages/streams/src'],
  commander: ['apps/centaurus/src'],
  listr2: ['apps/centaurus/src'],
  pino: ['apps/centaurus/src'],
}

/** Broken layer rules, a sentence each. */
export function findLayerViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => importsOf(file).flatMap((specifier) => checkImport(file, specifier)))
}

function checkImport(file: SourceFile, specifier: string): string[] {
  if (specifier.startsWith('.')) return checkRelative(file, specifier)
  if (specifier.startsWith('@centaurus/')) return checkOwn(file, specifier)
  return [...checkOwned(file, specifier), ...checkBrowser(file, specifier)]
}

function packageOf(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1]
}

function checkRelative(file: SourceFile, specifier: string): string[] {
  const own = packageOf(file.path)
  if (own === undefined) return []
  const target = new URL(specifier, `file:///${file.path}`).pathname.slice(1)
  if (target.startsWith(`packages/${own}/`)) return []
  return [`${file.path} reaches into another package by path: ${specifier}; import it by its door`]
}

function checkOwn(file: SourceFile, specifier: string): string[] {
  const own = packageOf(file.path)
  if (own === undefined || file.isTest) return []
  const [, name] = specifier.split('/')
  if (name === own) return [`${file.path} imports its own package by name`]
  const allowed = ALLOWED[own]
  if (allowed === undefined) return [`${own} has no place in the order of layers: add it to tools/check/src/layers.ts`]
  if (allowed.includes(name!)) return []
  return [`${file.path} imports ${specifier}; ${own} may import: ${allowed.join(', ') || 'nothing of ours'}`]
}

function checkOwned(file: SourceFile, specifier: string): string[] {
  const owners = OWNED_DEPENDENCIES[specifier]
  if (owners === undefined || file.isTest || owners.some((folder) => file.path.startsWith(folder))) return []
  return [`${file.path} imports ${specifier}, which only ${owners.join(', ')} may`]
}

function checkBrowser(file: SourceFile, specifier: string): string[] {
  const own = packageOf(file.path)
  if (own === undefined || !BROWSER.has(own) || file.isTest || !specifier.startsWith('node:')) return []
  if (Object.keys(NODE_ONLY_FILES).some((prefix) => file.path.startsWith(prefix))) return []
  return [`${file.path} imports ${specifier}, but ${own} must run in a browser`]
}
