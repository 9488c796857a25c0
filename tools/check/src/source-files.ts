import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './steps.ts'

/** One TypeScript file of the workspace, read once for all rules. */
export interface SourceFile {
  /** Relative to the repository, such as `packages/base/src/clock.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  readonly isTest: boolean
  readonly isGenerated: boolean
}

/** Every TypeScript file that is ours. */
export function readSourceFiles(): SourceFile[] {
  const patterns = [
    'packages/*/src/**/*.ts',
    'apps/*/src/**/*.ts',
    'tools/*/src/**/*.ts',
    'bench/**/*.ts',
    'conformance/**/*.ts',
  ]
  return patterns
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT, exclude: (name) => name === 'node_modules' }))
    .sort()
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8')
      return {
        path,
        text,
        lines: text.split('\n'),
        isTest: path.endsWith('.test.ts') || path.includes('/testing/') || path.startsWith('conformance/'),
        isGenerated: path.includes('/generated/'),
      }
    })
}

/** Module specifiers that a file imports, statically or not. */
export function importsOf(file: SourceFile): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|import\s*\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g
  return [...file.text.matchAll(pattern)].map((match) => (match[1] ?? match[2] ?? match[3])!)
}
