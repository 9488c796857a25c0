import { writeFileSync } from 'node:fs'
import { registerDaemon } from '../daemons.ts'
import { createHome, findHome, type Home } from '../home.ts'
import { DEFAULT_SETTINGS, writeSettings } from '../settings.ts'

/** A home in which commands find a cluster that runs in this process: `kubeconfig` is its administrator's. */
export function createAdminHome(directory: string, kubeconfig: string): Home {
  const home = findHome({ CENTAURUS_HOME: directory })
  createHome(home)
  writeSettings(home, DEFAULT_SETTINGS)
  writeFileSync(home.kubeconfig, kubeconfig, { mode: 0o600 })
  registerDaemon(home, 'control-plane')
  return home
}
