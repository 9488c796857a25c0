/** The runtime can't be built; the message says why and what to do. */
export class QuarkBuildError extends Error {
  override readonly name = 'QuarkBuildError'
}
