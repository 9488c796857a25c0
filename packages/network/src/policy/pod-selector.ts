import { LabelSelector, selectorFromObject } from '@centaurus/api'
import type { LabelSelector as LabelSelectorObject } from '@centaurus/api/meta/v1'
import type { Truth } from './truth.ts'

/** Labels as far as they are known. */
export interface KnownLabels {
  readonly labels: Readonly<Record<string, string>>
  /** Keys whose labels, or whose lack, are known. Absent: all of them. */
  readonly keys?: ReadonlySet<string> | undefined
}

/** A label selector that also answers for labels that are known in part. Equal texts, equal selectors. */
export interface PodSelector {
  readonly text: string
  readonly keys: readonly string[]
  /** Every object matches, whatever its labels. */
  readonly isEmpty: boolean
  /** What a label must be, as `[key, value]`, for any object to match; for indexes. */
  readonly required: readonly [string, string] | undefined
  test(known: KnownLabels): Truth
}

/** Counts the questions that selectors were asked, for tests of what a change costs. */
export const selectorTests = { count: 0 }

/** Absent matches everything, as empty does. A selector that can't be read is never sure of anything, so what depends on it is closed. */
export function createPodSelector(selector: Readonly<LabelSelectorObject> | undefined): PodSelector {
  let parsed: LabelSelector
  try {
    parsed = selectorFromObject(selector ?? {})
  } catch {
    // The API's validation lets none through; objects of a newer API might have operators that we don't know.
    const text = `unreadable ${JSON.stringify(selector)}`
    return { text, keys: [], isEmpty: false, required: undefined, test: () => 'maybe' }
  }
  const requirements = parsed.requirements.map((requirement) => ({
    key: requirement.key,
    selector: new LabelSelector([requirement]),
  }))
  const required = parsed.requirements
    .map(({ key }) => [key, parsed.requiredValue(key)] as const)
    .find((pair): pair is readonly [string, string] => pair[1] !== undefined)
  return {
    text: parsed.toString(),
    keys: [...new Set(requirements.map(({ key }) => key))],
    isEmpty: parsed.isEmpty,
    required,
    test: ({ labels, keys }) => {
      selectorTests.count++
      let truth: Truth = 'yes'
      for (const { key, selector: requirement } of requirements) {
        if (keys !== undefined && !keys.has(key)) truth = 'maybe'
        else if (!requirement.matches(labels)) return 'no'
      }
      return truth
    },
  }
}
