import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { findUndocumented } from './documentation.ts'
import { findLayerViolations } from './layers.ts'
import { importsOf, readSourceFiles, type SourceFile } from './source-files.ts'
import { ROOT } from './steps.ts'

const LINES_MAX = 600
const TEST_LINES_MAX = 1000
/** Public names without a doc comment. Only ever make it smaller. */
const UNDOCUMENTED_MAX = 0

/** Calls that the house does not use, with what to use. Tests are exempt. */
const BANNED: readonly { pattern: RegExp; instead: string; except: readonly string[] }[] = [
  { pattern: /\bstructuredClone\(/, instead: 'deepClone of @centaurus/api (10 times faster)', except: [] },
  {
    pattern: /\bDate\.now\(\)|\bnew Date\(\)/,
    instead: 'a Clock that is passed in',
    except: ['packages/base/src/clock.ts', 'bench/', 'tools/', 'apps/', 'conformance/'],
  },
  { pattern: /\bMath\.random\(/, instead: 'a Random that is passed in', except: ['packages/base/src/random.ts'] },
  { pattern: /\bexport \*/, instead: 'a list of names', except: [] },
  { pattern: /\bexport default\b/, instead: 'a named export', except: ['tools/check/src/count-reporter.ts'] },
  { pattern: /\b(?:it|test|describe)\.only\(/, instead: 'the whole suite', except: [] },
  { pattern: /@ts-ignore|@ts-nocheck/, instead: 'a type, or @ts-expect-error with its reason', except: [] },
]

const REMINDER = /\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))/

const files = readSourceFiles()
const own = files.filter((file) => !file.isGenerated)
const thisFile = 'tools/check/src/tidy.test.ts'

function tooLong(file: SourceFile): boolean {
  return file.lines.length - 1 > (file.path.endsWith('.test.ts') ? TEST_LINES_MAX : LINES_MAX)
}

describe('tidy', () => {
  it('keeps the order of layers', () => {
    assert.deepEqual(findLayerViolations(files), [])
  })

  it(`keeps files under ${LINES_MAX} lines, tests under ${TEST_LINES_MAX}`, () => {
    assert.deepEqual(
      own.filter(tooLong).map((file) => `${file.path}: ${file.lines.length - 1}`),
      [],
    )
  })

  it('uses no banned call', () => {
    const found = own
      .filter((file) => !file.path.endsWith('.test.ts') && !file.path.includes('/testing/'))
      .flatMap((file) =>
        BANNED.filter(
          ({ pattern, except }) => pattern.test(file.text) && !except.some((path) => file.path.startsWith(path)),
        ).map(({ pattern, instead }) => `${file.path}: ${pattern.source}; use ${instead}`),
      )
    assert.deepEqual(found, [])
  })

  it('leaves no reminder without an issue number', () => {
    assert.deepEqual(
      own.filter((file) => file.path !== thisFile && REMINDER.test(file.text)).map((file) => file.path),
      [],
    )
  })

  it('documents public names', () => {
    const missing = findUndocumented(files)
    assert.ok(
      missing.length <= UNDOCUMENTED_MAX,
      `${missing.length} public names have no doc comment:\n${missing.join('\n')}`,
    )
  })

  it('has a README in every package', () => {
    const packages = globSync(['packages/*', 'apps/*'], { cwd: ROOT })
    assert.deepEqual(
      packages.filter((dir) => !existsSync(join(ROOT, dir, 'README.md'))),
      [],
    )
  })

  it('names the command in every generated file', () => {
    const generated = files.filter((file) => file.isGenerated)
    assert.deepEqual(
      generated.filter((file) => !/npm run generate/.test(file.lines[0] ?? '')).map((file) => file.path),
      [],
    )
  })

  it('has no broken links between documents', () => {
    const documents = globSync(['*.md', '{docs,decisions,packages,apps,bench,examples,conformance}/**/*.md'], {
      cwd: ROOT,
      exclude: (name) => name === 'node_modules',
    })
    assert.deepEqual(documents.flatMap(brokenLinks), [])
  })

  it('declares what each package imports', () => {
    assert.deepEqual(globSync('packages/*', { cwd: ROOT }).flatMap(undeclared), [])
  })
})

function brokenLinks(document: string): string[] {
  const text = readFileSync(join(ROOT, document), 'utf8')
  return [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1]!)
    .filter((link) => !existsSync(join(ROOT, dirname(document), link)))
    .map((link) => `${document} → ${link}`)
}

function undeclared(dir: string): string[] {
  const manifest = JSON.parse(readFileSync(join(ROOT, dir, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>
  }
  const declared = new Set(Object.keys(manifest.dependencies ?? {}))
  const imported = new Set<string>()
  for (const file of files) {
    if (!file.path.startsWith(`${dir}/`) || file.isTest) continue
    for (const specifier of importsOf(file)) if (!specifier.startsWith('.')) imported.add(packageName(specifier))
  }
  return [...imported]
    .filter((name) => !name.startsWith('node:') && !declared.has(name))
    .map((name) => `${dir} imports ${name}`)
}

/** `@scope/name/door` → `@scope/name`. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
