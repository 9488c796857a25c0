import { QUEUE_FINALIZER, type Queue, type QueuedWorkload, type QueueResource } from '../../centaurus/queue.ts'
import { parseQuantity } from '../../quantity/quantity.ts'
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'

const spec = new FieldPath('spec')
const AMOUNTS = ['nominalQuota', 'borrowingLimit', 'lendingLimit'] as const

/** Queues of tenants. What they say of each other is judged by the controller: they may come in any order. */
export const queueBehavior: KindBehavior<Queue> = {
  prepareForCreate({ metadata }) {
    const finalizers = metadata.finalizers ?? []
    if (!finalizers.includes(QUEUE_FINALIZER)) metadata.finalizers = [...finalizers, QUEUE_FINALIZER]
  },
  validate: ({ metadata, spec: own }) => [
    ...(own?.parent !== undefined && own.parent === metadata.name
      ? [invalid(spec.child('parent'), own.parent, 'must be another queue')]
      : []),
    ...(own?.resources ?? []).flatMap((resource, i) => validateResource(resource, spec.child('resources').index(i))),
  ],
}

export const queuedWorkloadBehavior: KindBehavior<QueuedWorkload> = {
  validate: ({ spec: own }) =>
    (own.podSets ?? []).flatMap(({ count, minCount, requests = {} }, i) => {
      const path = spec.child('podSets').index(i)
      const isMore = minCount !== undefined && minCount > count
      return [
        ...(isMore ? [invalid(path.child('minCount'), minCount, 'must be less than or equal to `count`')] : []),
        ...Object.entries(requests).flatMap(([name, amount]) =>
          validateAmount(amount, path.child('requests').key(name)),
        ),
      ]
    }),
}

function validateResource(resource: QueueResource, path: FieldPath): FieldError[] {
  return AMOUNTS.flatMap((name) => {
    const amount = resource[name]
    return amount === undefined ? [] : validateAmount(amount, path.child(name))
  })
}

function validateAmount(amount: string, path: FieldPath): FieldError[] {
  try {
    return parseQuantity(amount).milliValue < 0 ? [invalid(path, amount, 'must be greater than or equal to 0')] : []
  } catch {
    return [invalid(path, amount, 'must be a quantity, such as 8, 500m or 64Gi')]
  }
}
