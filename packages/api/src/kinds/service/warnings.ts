import type { Service } from '../../generated/types/core/v1.ts'

const OLD_HINTS = 'service.kubernetes.io/topology-aware-hints'

/** Fields that do nothing, or will not for long. Source: GetWarningsForService, pkg/api/service/warnings.go v1.37. */
export function serviceWarnings({ metadata, spec }: Readonly<Service>): string[] {
  const { type, externalIPs = [], externalName, loadBalancerIP, sessionAffinity, trafficDistribution } = spec ?? {}
  const isHeadless = spec?.clusterIP === 'None'
  const isExternal = type === 'ExternalName'
  const warnings: string[] = []
  const warn = (condition: boolean, sentence: string): void => {
    if (condition) warnings.push(sentence)
  }
  const hasHints = metadata.annotations?.[OLD_HINTS] !== undefined
  warn(hasHints, `annotation ${OLD_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead`)
  warn(isHeadless && Boolean(loadBalancerIP), 'spec.loadBalancerIP is ignored for headless services')
  warn(isHeadless && externalIPs.length > 0, 'spec.externalIPs is ignored for headless services')
  warn(isHeadless && sessionAffinity !== 'None', 'spec.SessionAffinity is ignored for headless services')
  const isUsed = externalIPs.length > 0 && !isHeadless && !isExternal
  warn(isUsed, 'spec.externalIPs is deprecated and may no longer be implemented in some clusters')
  warn(isExternal && externalIPs.length > 0, 'spec.externalIPs is ignored when spec.type is "ExternalName"')
  warn(!isExternal && Boolean(externalName), 'spec.externalName is ignored when spec.type is not "ExternalName"')
  const isOld = trafficDistribution === 'PreferClose'
  warn(isOld, 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
  return warnings
}
