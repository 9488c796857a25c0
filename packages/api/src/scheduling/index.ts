export {
  compileNodeSelector,
  compilePreferredNodes,
  compileRequiredNodes,
  type NodeMatcher,
  type WeightedNodeMatcher,
} from './node-affinity.ts'
export { countIntolerablePreferences, findUntolerated, tolerates, toleratesAll } from './tolerations.ts'
export { compareCapacity, isVolumeFree, matchesClaim } from './match-volume.ts'
