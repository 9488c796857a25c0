import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { generateAll } from './generate.ts'
import { parseClassTexts } from './descriptions.ts'
import { parseGoAliases, parseGoStructs } from './go-structs.ts'
import { hasGo } from './modules.ts'
import { parseProtoMessages } from './proto-messages.ts'

const GENERATED = join(import.meta.dirname, '../../../packages/api/src/generated')

function committedFiles(): string[] {
  return readdirSync(GENERATED, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(GENERATED.length + 1))
    .sort()
}

describe(
  'the generated files',
  { skip: hasGo() ? false : '`go` is missing, which fetches the published sources' },
  () => {
    it('are what `npm run generate` makes', () => {
      const files = generateAll()
      assert.deepEqual(committedFiles(), [...files.keys()].sort(), 'run `npm run generate` and commit')
      for (const [file, text] of files) {
        assert.ok(
          readFileSync(join(GENERATED, file), 'utf8') === text,
          `${file} is out of date: run \`npm run generate\``,
        )
      }
    })
  },
)

describe('reading Go structs', () => {
  it('finds names, pointers, options and numbers of fields', () => {
    const source = [
      'type Widget struct {',
      '\tmetav1.TypeMeta `json:",inline"`',
      '\t// Size of it.',
      '\tSize *int32 `json:"size,omitempty" protobuf:"varint,2,opt,name=size"`',
      '\tSource `json:"" protobuf:"bytes,1,opt,name=source"`',
      '\tHidden string `json:"-"`',
      '}',
      'type Empty struct{}',
    ].join('\n')
    const [widget, empty] = parseGoStructs(source)
    const common = { pointer: false, omitEmpty: false, omitZero: false }
    assert.deepEqual(widget, {
      name: 'Widget',
      isKind: true,
      fields: [
        { ...common, json: 'size', type: '*int32', pointer: true, omitEmpty: true, number: 2 },
        { ...common, json: '', type: 'Source', number: 1 },
      ],
    })
    assert.deepEqual(empty, { name: 'Empty', isKind: false, fields: [] })
  })

  it('finds types that take over those of another package', () => {
    const source = 'import (\n\tv1 "k8s.io/api/admissionregistration/v1"\n)\n\ntype Rule v1.Rule\n'
    const expected = [{ name: 'Rule', path: 'k8s.io/api/admissionregistration/v1', target: 'Rule' }]
    assert.deepEqual(parseGoAliases(source), expected)
  })
})

describe('reading .proto messages', () => {
  it('finds the full names of types', () => {
    const source = [
      'package k8s.io.api.core.v1;',
      'message Thing {',
      '  optional string name = 1;',
      '  repeated Other others = 2;',
      '  map<string, .k8s.io.api.x.Y> ys = 3;',
      '}',
    ].join('\n')
    assert.deepEqual(
      [...parseProtoMessages(source).get('Thing')!.values()],
      [
        { name: 'name', number: 1, label: 'optional', type: 'string' },
        { name: 'others', number: 2, label: 'repeated', type: 'k8s.io.api.core.v1.Other' },
        { name: 'ys', number: 3, label: 'map', type: 'k8s.io.api.x.Y' },
      ],
    )
  })
})

describe('reading texts', () => {
  it('gives fields their names in JSON', () => {
    const source = [
      '/**',
      '* A thing.',
      '*/',
      'export declare class V1Thing {',
      '    /**',
      "    * It\\'s the rest.",
      '    */',
      "    '_continue'?: string;",
      "    'plain'?: number;",
      '}',
    ].join('\n')
    assert.deepEqual(parseClassTexts(source), { description: 'A thing.', fields: { continue: "It's the rest." } })
  })
})
