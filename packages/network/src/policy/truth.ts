/** What is known of a condition. `maybe`: it depends on labels that nobody asked for when an identity was made. */
export type Truth = 'yes' | 'no' | 'maybe'

export function bothHold(a: Truth, b: Truth): Truth {
  if (a === 'no' || b === 'no') return 'no'
  return a === 'yes' && b === 'yes' ? 'yes' : 'maybe'
}

export function eitherHolds(a: Truth, b: Truth): Truth {
  if (a === 'yes' || b === 'yes') return 'yes'
  return a === 'no' && b === 'no' ? 'no' : 'maybe'
}
