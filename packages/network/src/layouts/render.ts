import { createHash } from 'node:crypto'
import * as layouts from './layouts.ts'
import { DROP_REASONS } from './reasons.ts'
import * as services from './services.ts'
import * as shaping from './shaping.ts'
import type { Struct } from './struct.ts'

const COMMAND = 'node packages/network/src/layouts/write.ts'

/** Exported records, in the order of their description. */
export function listStructs(): Struct<unknown>[] {
  const values: readonly unknown[] = Object.values({ ...layouts, ...services, ...shaping })
  const isStruct = (value: unknown): value is Struct<unknown> =>
    typeof value === 'object' && value !== null && 'fields' in value
  return sortByUse(values.filter(isStruct))
}

/** Tells layouts apart: what one wrote, another must not read. */
export function layoutVersion(): string {
  return createHash('sha256').update(renderLayouts()).digest('hex').slice(0, 8)
}

/** Text of `bpf/generated/layouts.h`. */
export function renderLayouts(): string {
  return [
    `/* Made by \`${COMMAND}\` from packages/network/src/layouts: do not edit. */`,
    '#pragma once',
    '',
    'struct address {',
    '\t__be32 words[4];',
    '};',
    '',
    ...renderConstants(),
    '',
    'enum drop_reason {',
    ...DROP_REASONS.map((reason, i) => `\tDROP_${toSnake(reason).toUpperCase()} = ${i},`),
    '};',
    `#define DROP_REASONS_COUNT ${DROP_REASONS.length}`,
    '',
    ...listStructs().flatMap(renderStruct),
  ].join('\n')
}

function renderConstants(): string[] {
  const entries: [string, unknown][] = Object.entries({ ...layouts, ...services, ...shaping })
  return entries
    .filter(([, value]) => typeof value === 'number')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `#define ${name} ${String(value)}`)
}

function renderStruct(struct: Struct<unknown>): string[] {
  const tag = `struct ${struct.name}`
  return [
    `${tag} {`,
    ...struct.fields.map((field) => `\t${field.kind.c(toSnake(field.name))};`),
    '};',
    `_Static_assert(sizeof(${tag}) == ${struct.size}, "${tag}");`,
    ...struct.fields
      .filter(({ kind }) => kind.isBitField === undefined)
      .map(
        (field) => `_Static_assert(__builtin_offsetof(${tag}, ${toSnake(field.name)}) == ${field.offset}, "${tag}");`,
      ),
    '',
  ]
}

/** A record comes after those that it holds. */
function sortByUse(structs: readonly Struct<unknown>[]): Struct<unknown>[] {
  const holds = (outer: Struct<unknown>, inner: Struct<unknown>): boolean =>
    outer.fields.some((field) => field.kind.c('x').startsWith(`struct ${inner.name} `))
  const sorted: Struct<unknown>[] = []
  const add = (item: Struct<unknown>): void => {
    if (sorted.includes(item)) return
    for (const other of structs) if (other !== item && holds(item, other)) add(other)
    sorted.push(item)
  }
  for (const item of [...structs].sort((a, b) => (a.name < b.name ? -1 : 1))) add(item)
  return sorted
}

/** `hostIP` → `host_ip`, `IPv6` → `ipv6`. */
function toSnake(name: string): string {
  return name
    .replace('IPv6', 'Ipv6')
    .replace(/IP/g, 'Ip')
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .toLowerCase()
}
