import type { KindBehavior, KubeObject } from '../behavior.ts'

/**
 * Forgets the type of a kind's objects, so that behaviours of all kinds fit in one table. Sound as long as the table is asked
 * with the group and kind of the object that is then passed in.
 */
export function defineKind<T extends KubeObject>(behavior: KindBehavior<T>): KindBehavior {
  // Functions take their argument contravariantly, and only the look-up by kind connects the two.
  return behavior as unknown as KindBehavior
}

/** Sets the generation that follows the old object's. */
export function bumpGeneration(draft: KubeObject, old: KubeObject): void {
  draft.metadata.generation = (old.metadata.generation ?? 0) + 1
}
