import { objectKey } from '@centaurus/api'
import type { Observation, Observer } from './observer.ts'
import type { Snapshot } from './snapshot.ts'
import type { StoreChange, StoreHistory } from './store-history.ts'

/** Where observers saw something else than what was committed, or than what is listed. Pure. */
export function checkHistories(observers: readonly Observer[], history: StoreHistory, snapshot: Snapshot): string[] {
  return observers.flatMap((observer) => [
    ...observer.problems,
    ...compareWithList(observer, snapshot),
    ...compareWithStore(observer, history.changes(observer.type)),
  ])
}

function compareWithList({ type, state }: Observer, snapshot: Snapshot): string[] {
  const listed = new Map(snapshot.list(type).map((object) => [objectKey(object), object.metadata.resourceVersion]))
  const keys = new Set([...listed.keys(), ...state.keys()])
  return [...keys]
    .filter((key) => listed.get(key) !== state.get(key)?.metadata.resourceVersion)
    .map(
      (key) =>
        `${type.resource} ${key}: watched ${state.get(key)?.metadata.resourceVersion}, listed ${listed.get(key)}`,
    )
}

/** Between two lists, a watch shows every commit once and in order. The last stretch before a list may end early: the server was gone. */
function compareWithStore({ type, events, gaps }: Observer, changes: readonly StoreChange[]): string[] {
  const starts = [{ until: 0, index: 0 }, ...gaps]
  return starts.flatMap(({ until, index }, stretch) => {
    const next = gaps[stretch]
    const seen = events.slice(index, next?.index).filter(({ isWatched }) => isWatched)
    const last = seen.at(-1)?.revision ?? until
    const committed = changes.filter(({ revision }) => revision > until && (next === undefined || revision <= last))
    const text = (event: Observation | StoreChange | undefined): string =>
      event === undefined
        ? 'nothing'
        : `${event.type} ${'key' in event ? event.key : objectKey(event.object)} ${event.revision}`
    for (let at = 0; at < Math.max(seen.length, committed.length); at++) {
      if (text(seen[at]) === text(committed[at])) continue
      return [`a watch of ${type.resource} showed ${text(seen[at])}, but ${text(committed[at])} was committed`]
    }
    return []
  })
}
