import { selectorFromLabels, type KubeObject, type Stored } from '@centaurus/api'
import type { Informer } from '@centaurus/client'

const LABEL_INDEX = 'namespace-label'

/** Objects by each of their labels within their namespace, so that a selector of labels finds its own without looking at the rest. */
export function addLabelIndex<T extends KubeObject>(informer: Informer<T>): void {
  informer.addIndex(LABEL_INDEX, labelIndexValues)
}

/** Objects in the namespace that carry all of `labels`; none when `labels` is empty, as Services mean it. Needs {@link addLabelIndex}. */
export function selectByLabels<T extends KubeObject>(
  informer: Informer<T>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): readonly Stored<T>[] {
  const entries = Object.entries(labels)
  if (entries.length === 0) return []
  const buckets = entries.map(([key, value]) => informer.byIndex(LABEL_INDEX, formatLabel(namespace, key, value)))
  const smallest = buckets.reduce((best, bucket) => (bucket.length < best.length ? bucket : best))
  if (entries.length === 1) return smallest
  const selector = selectorFromLabels(labels)
  return smallest.filter((object) => selector.matches(object.metadata.labels))
}

function labelIndexValues(object: KubeObject): readonly string[] {
  const namespace = object.metadata.namespace ?? ''
  return Object.entries(object.metadata.labels ?? {}).map(([key, value]) => formatLabel(namespace, key, value))
}

/** One value for each label that an object of that namespace has. */
export function formatLabel(namespace: string, key: string, value: string): string {
  return `${namespace}\n${key}\n${value}`
}
