import type { SourceFile } from './source-files.ts'

const DECLARATION = /^export (?:async )?(?:function\*?|const|class) (\w+)/

/** Functions, classes and constants that a package's door gives out without a doc comment, as `path: name`. A type's fields speak for it. */
export function findUndocumented(files: readonly SourceFile[]): string[] {
  const byPackage = new Map<string, SourceFile[]>()
  for (const file of files) {
    const name = /^(?:packages|apps)\/[^/]+/.exec(file.path)?.[0]
    if (name === undefined || file.isGenerated) continue
    byPackage.set(name, [...(byPackage.get(name) ?? []), file])
  }
  return [...byPackage].flatMap(([name, own]) => undocumentedOf(name, own)).sort()
}

function undocumentedOf(folder: string, files: readonly SourceFile[]): string[] {
  const door = files.find((file) => file.path === `${folder}/src/index.ts`)
  if (door === undefined) return []
  const names = doorNames(door.text)
  return files.filter((file) => file !== door && !file.isTest).flatMap((file) => missingIn(file, names))
}

function doorNames(text: string): Set<string> {
  const names = new Set<string>()
  for (const [, list] of text.matchAll(/export (?:type )?\{([^}]*)\}/g)) {
    for (const item of list!.split(',')) {
      const name = item
        .trim()
        .replace(/^type /, '')
        .split(' as ')[0]!
        .trim()
      if (name !== '') names.add(name)
    }
  }
  return names
}

function missingIn(file: SourceFile, names: ReadonlySet<string>): string[] {
  return file.lines.flatMap((line, i) => {
    const name = DECLARATION.exec(line)?.[1]
    if (name === undefined || !names.has(name)) return []
    const before = file.lines[i - 1]?.trim() ?? ''
    const overload = DECLARATION.exec(file.lines[i - 1] ?? '')?.[1] === name
    return before.endsWith('*/') || overload ? [] : [`${file.path}: ${name}`]
  })
}
