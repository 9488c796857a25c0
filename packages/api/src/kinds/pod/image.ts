/** Tag that an image name means, `latest` when it gives neither tag nor digest; empty with only a digest. Source: distribution reference. */
export function imageTag(image: string): string {
  const at = image.indexOf('@')
  const name = at < 0 ? image : image.slice(0, at)
  // A colon before the last slash belongs to the registry's port.
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1)
  if (colon >= 0) return name.slice(colon + 1)
  return at < 0 ? 'latest' : ''
}

/** Always for the moving tag, IfNotPresent for all others. Source: SetDefaults_Container, pkg/apis/core/v1 v1.37. */
export function defaultPullPolicy(image: string | undefined): string {
  return image !== undefined && image !== '' && imageTag(image) === 'latest' ? 'Always' : 'IfNotPresent'
}
