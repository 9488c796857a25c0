/**
 * Writes `build/openapi-descriptions.json`: the texts of definitions and fields that `kubectl explain` shows. They come from
 * the doc comments of the pinned development package `@kubernetes/client-node`, at build time, since texts of others do not
 * belong into this repository. Run: `node tools/generate/src/descriptions.ts`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { schemaOfDefinition, definitionNames, type Descriptions, type DefinitionTexts } from '@centaurus/api'

/** Fields that a class and a definition must share to be taken for the same, as a part of the class's fields. */
const SHARED_FIELDS_MIN = 0.5

/** Texts by definition name. A definition that the package does not have is left out. */
export function collectDescriptions(modelsDir: string): Descriptions {
  const files = new Set(readdirSync(modelsDir))
  const descriptions: Record<string, DefinitionTexts> = {}
  for (const name of definitionNames()) {
    const file = classNames(name).find((candidate) => files.has(`${candidate}.d.ts`))
    if (file === undefined) continue
    const texts = parseClassTexts(readFileSync(join(modelsDir, `${file}.d.ts`), 'utf8'))
    if (belongsTo(name, texts)) descriptions[name] = texts
  }
  return descriptions
}

/** Names that the package's generator may have given: with the group where the kind's name alone is not unique. */
function classNames(definition: string): string[] {
  const [kind, version, group] = definition.split('.').reverse() as [string, string, string]
  const suffix = capitalize(version) + kind
  return [`${capitalize(group)}${suffix}`, suffix]
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function belongsTo(definition: string, { fields = {} }: DefinitionTexts): boolean {
  const known = schemaOfDefinition(definition)!.fields
  const names = Object.keys(fields)
  return names.filter((name) => known.has(name)).length >= names.length * SHARED_FIELDS_MIN
}

const COMMENT = /\/\*\*\n((?:\s*\*.*\n)+?)\s*\*\/\n\s*(?:export declare class|'([^']+)'\??:)/g

/** Texts of one generated declaration file: that of its class, and of each field by the name it has in JSON. */
export function parseClassTexts(source: string): DefinitionTexts {
  const fields: Record<string, string> = {}
  let description: string | undefined
  for (const [, comment, field] of source.matchAll(COMMENT)) {
    const text = plainText(comment!)
    if (text === '') continue
    if (field === undefined) description = text
    else fields[jsonName(field)] = text
  }
  return { description, fields }
}

function plainText(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .replace(/\\(['"`])/g, '$1')
    .trim()
}

/** Undoes the package's names for what is no identifier: `_continue`, `x_kubernetes_list_type`, `$ref`. */
function jsonName(field: string): string {
  if (field.startsWith('x_kubernetes_')) return field.replaceAll('_', '-')
  if (field === '$ref' || field === '$schema') return field
  return field.replace(/^_/, '')
}

function modelsDir(): string {
  const entry = createRequire(import.meta.url).resolve('@kubernetes/client-node')
  let directory = dirname(entry)
  while (!existsSync(join(directory, 'gen', 'models'))) directory = dirname(directory)
  return join(directory, 'gen', 'models')
}

if (import.meta.main) {
  const out = join(import.meta.dirname, '../../../build/openapi-descriptions.json')
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, JSON.stringify(collectDescriptions(modelsDir())))
}
