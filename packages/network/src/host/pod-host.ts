import { stat } from 'node:fs/promises'
import { closeHostPorts, openHostPorts } from './host-ports.ts'
import type { OpenHostPort } from './nat-table.ts'
import type { PodLink } from './pod-link-requests.ts'
import { createPodLink, deletePodLink, inspectPodLink, listPodDevices, type SeenPodLink } from './pod-links.ts'

/** What attaching a pod does to its host, as a dependency: a simulation has a host of its own. All calls but `createLink` are idempotent. */
export interface PodHost {
  createLink(link: PodLink): Promise<number>
  deleteLink(device: string): Promise<void>
  inspectLink(link: PodLink): Promise<SeenPodLink>
  /** Host ends of pods' veths, and their indexes. */
  listDevices(): Promise<ReadonlyMap<string, number>>
  /** False when the network namespace is gone, also when its path was left behind. */
  hasNamespace(path: string): Promise<boolean>
  openPorts(ports: readonly OpenHostPort[]): Promise<void>
  closePorts(ports: readonly OpenHostPort[]): Promise<void>
}

/** The machine that this process runs on. Needs root. */
export const systemPodHost: PodHost = {
  createLink: createPodLink,
  deleteLink: deletePodLink,
  inspectLink: inspectPodLink,
  listDevices: listPodDevices,
  async hasNamespace(path) {
    const [own, found] = await Promise.all([stat('/proc/self/ns/net'), stat(path).catch(() => undefined)])
    return found?.dev === own.dev // a namespace's file is on the kernel's own file system, what it was mounted on is not
  },
  openPorts: openHostPorts,
  closePorts: closeHostPorts,
}
