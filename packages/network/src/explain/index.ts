export { explain, ExplainError, type ExplainQuestion, type ExplainTarget } from './explain.ts'
export type { ExplainObjects } from './explain-world.ts'
export type { DirectionVerdict, ExplainedPath, Explanation, NamedPlace, WayOut } from './explanation.ts'
