import { collectDefinitions } from './definitions.ts'
import { definitionsSource, resourcesSource } from './facts-text.ts'
import { KUBERNETES_VERSION } from './modules.ts'
import { readDiscovery, readOpenApi, readOpenApiV3 } from './openapi.ts'
import { collectReturnsDeleted } from './resources.ts'
import { generateTypes } from './types.ts'
import { withUnpublished } from './unpublished.ts'

/**
 * Everything that is generated, by path below `packages/api/src/generated`. Pure apart from reading the published sources,
 * which `go` fetches. Takes about a second.
 */
export function generateAll(): Map<string, string> {
  const openApi = readOpenApi()
  const definitions = collectDefinitions(openApi, readOpenApiV3())
  const files = new Map<string, string>()
  for (const [module, source] of generateTypes(withUnpublished(openApi, definitions)))
    files.set(`types/${module}.ts`, source)
  files.set('definitions.ts', definitionsSource(definitions, KUBERNETES_VERSION))
  files.set('resources.ts', resourcesSource(readDiscovery(), collectReturnsDeleted(openApi)))
  return files
}
