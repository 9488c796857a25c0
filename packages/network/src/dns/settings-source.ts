import { DNS_SETTINGS_NAME, SYSTEM_TENANT, type Stored } from '@centaurus/api'
import { configmaps, type ConfigMap } from '@centaurus/api/core/v1'
import type { Logger } from '@centaurus/base'
import type { InformerFactory } from '@centaurus/client'
import { ownNamespace, tenantOfObject } from './lookups.ts'
import { NO_SETTINGS, parseSettings, type DnsSettings } from './settings.ts'

const SETTINGS_NAMESPACE = 'kube-system'

export interface SettingsSource {
  readonly settingsOf: (tenant: string) => DnsSettings | undefined
  readonly clusterSettings: () => DnsSettings | undefined
  close(): void
}

export interface SettingsSourceOptions {
  readonly domain: string
  readonly address: string
  readonly logger: Logger
  /** Tells whoever wrote a ConfigMap what is wrong with it. */
  readonly report: (configMap: Stored<ConfigMap>, problems: readonly string[]) => void
  /** Answers that were kept for a tenant, or for '' all, are no longer what would be said. */
  readonly onChange: (owner: string) => void
}

/** Follows the ConfigMaps `kube-system/centaurus-dns` of all tenants. What was read last stays in force while the API is away. */
export function followSettings(informers: InformerFactory, options: SettingsSourceOptions): SettingsSource {
  const { domain, address, logger, report, onChange } = options
  const configMaps = new Map<string, Stored<ConfigMap>>()
  const settings = new Map<string, DnsSettings>()
  const cluster = (): DnsSettings | undefined => settings.get(SYSTEM_TENANT)
  const read = (tenant: string): void => {
    const configMap = configMaps.get(tenant)
    onChange(tenant === SYSTEM_TENANT ? '' : tenant)
    if (configMap === undefined) return void settings.delete(tenant)
    const tenantNetworks = tenant === SYSTEM_TENANT ? undefined : (cluster() ?? NO_SETTINGS).tenantNetworks
    const parsed = parseSettings(configMap.data ?? {}, { domain, address, tenantNetworks })
    settings.set(tenant, parsed.settings)
    logger.info('Read settings of DNS', { tenant })
    if (parsed.problems.length > 0) report(configMap, parsed.problems)
  }
  const change = (tenant: string): void => {
    read(tenant)
    // operators may have opened a network that a tenant's servers are in, or closed it
    if (tenant === SYSTEM_TENANT) for (const other of configMaps.keys()) if (other !== SYSTEM_TENANT) read(other)
  }
  const ifSettings =
    (act: (tenant: string, configMap: Stored<ConfigMap>) => void) => (configMap: Stored<ConfigMap>) => {
      const tenant = tenantOfObject(configMap)
      const isOne = configMap.metadata.name === DNS_SETTINGS_NAME && ownNamespace(configMap) === SETTINGS_NAMESPACE
      if (isOne && tenant !== undefined) act(tenant, configMap)
    }
  const put = ifSettings((tenant, configMap) => {
    configMaps.set(tenant, configMap)
    change(tenant)
  })
  const informer = informers.informer(configmaps, { fieldSelector: `metadata.name=${DNS_SETTINGS_NAME}` })
  const close = informer.addHandler({
    onAdd: put,
    onUpdate: put,
    onDelete: ifSettings((tenant) => {
      configMaps.delete(tenant)
      change(tenant)
    }),
  })
  return { settingsOf: (tenant) => settings.get(tenant), clusterSettings: cluster, close }
}
