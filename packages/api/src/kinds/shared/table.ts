import type { Container } from '../../generated/types/core/v1.ts'
import type { LabelSelector } from '../../generated/types/meta/v1.ts'
import { selectorFromObject } from '../../selector/label-selector.ts'
import type { TableColumn } from '../behavior.ts'

/** How a column differs from the usual one: text, always shown. */
export interface ColumnOptions {
  readonly type?: TableColumn['type']
  /** Shown with `-o wide` only. */
  readonly wide?: boolean
  readonly format?: 'name' | 'duration'
}

/** A column of what `kubectl get` shows. */
export function column(name: string, description: string, options: ColumnOptions = {}): TableColumn {
  const { type = 'string', wide = false, format = '' } = options
  return { name, type, format, description, priority: wide ? 1 : 0 }
}

export const nameColumn: TableColumn = column('Name', 'Name of the object, unique within its namespace and resource', {
  format: 'name',
})
export const ageColumn: TableColumn = column('Age', 'Time since the object was created')

/** The three wide columns that workloads share. */
export const templateColumns: readonly TableColumn[] = [
  column('Containers', 'Names of the containers of the pod template', { wide: true }),
  column('Images', 'Images of the containers of the pod template', { wide: true }),
  column('Selector', 'Labels that select the pods', { wide: true }),
]

export function containerNames(containers: readonly Container[] | undefined): string {
  return (containers ?? []).map((container) => container.name).join(',')
}

export function containerImages(containers: readonly Container[] | undefined): string {
  return (containers ?? []).map((container) => container.image ?? '').join(',')
}

/** `a=1,b=2` in order, or `<none>`. Source: labels.FormatLabels, apimachinery v0.37. */
export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const text = Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',')
  return text === '' ? '<none>' : text
}

/** Text of a selector as kubectl's `-l` takes it; empty when it selects everything, `<invalid>` when it is none. */
export function selectorText(selector: LabelSelector | undefined): string {
  try {
    return selectorFromObject(selector).toString()
  } catch {
    return '<invalid>'
  }
}

/** As {@link selectorText}, with `<none>` for no text. Source: FormatLabelSelector, apimachinery v0.37. */
export function formatSelector(selector: LabelSelector | undefined): string {
  const text = selectorText(selector)
  return text === '' ? '<none>' : text
}

/** Joins at most `max` texts with commas and counts the others; `<unset>` for none. */
export function joinSome(texts: readonly string[], max: number): string {
  if (texts.length === 0) return '<unset>'
  const head = texts.slice(0, max).join(',')
  return texts.length > max ? `${head} + ${texts.length - max} more...` : head
}

/** Text of a boolean cell of type string. */
export function formatBoolean(value: boolean | undefined): string {
  if (value === undefined) return '<unset>'
  return value ? 'True' : 'False'
}
