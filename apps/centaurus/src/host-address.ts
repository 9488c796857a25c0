import { networkInterfaces } from 'node:os'

/** All IPv4 addresses by which this machine is on networks, but for those of pods. */
export function hostAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith('centaurus'))
    .flatMap(([, list]) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address)
}

/** This machine's first address that others can reach, IPv4 preferred; 127.0.0.1 when there is none. */
export function primaryAddress(): string {
  const candidates = Object.entries(networkInterfaces())
    .filter(([name]) => !/^(lo|docker|br-|veth|cni|centaurus|virbr)/.test(name))
    .flatMap(([, list]) => list ?? [])
    .filter((entry) => !entry.internal && !/^(fe80:|169\.254\.)/i.test(entry.address))
  return (candidates.find((entry) => entry.family === 'IPv4') ?? candidates[0])?.address ?? '127.0.0.1'
}
