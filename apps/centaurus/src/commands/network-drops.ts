import { createInterface } from 'node:readline'
import { SYSTEM_TENANT } from '@centaurus/api'
import { pods } from '@centaurus/api/core/v1'
import { systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { NamedDrop, NamedEnd } from '@centaurus/network'
import { connectAsAdmin } from '../cluster-access.ts'
import { askNetwork } from '../network-daemon-client.ts'
import type { Home } from '../home.ts'
import { PodFinder } from './pod-finder.ts'

/** How long one line waits for a name. */
const NAME_TIMEOUT_MS = 2_000

/** Prints drops of this host, the newest last. With `follow` until it is told to stop. */
export async function showDrops(
  home: Home,
  { follow, json }: { readonly follow: boolean; readonly json: boolean },
): Promise<void> {
  const response = await askNetwork(home, follow ? '/drops?follow=1' : '/drops')
  const clients = new Map<string, Promise<Client>>()
  const finder = createPodFinder(home, clients)
  let seen = 0
  try {
    for await (const line of createInterface({ input: response })) {
      seen++
      const drop = await nameEnds(JSON.parse(line) as NamedDrop, finder)
      process.stdout.write(`${json ? JSON.stringify(drop) : formatDrop(drop)}\n`)
    }
  } finally {
    for (const client of await Promise.allSettled(clients.values()))
      if (client.status === 'fulfilled') await client.value.close()
  }
  if (seen === 0 && !json) process.stdout.write('This host has dropped no packets lately.\n')
}

/** Asks the cluster for what this host does not know: it has no table of all pods. */
function createPodFinder(home: Home, clients: Map<string, Promise<Client>>): PodFinder {
  return new PodFinder({
    clock: systemClock,
    async list(tenant, address) {
      const connecting = clients.get(tenant) ?? connectAsAdmin(home, tenant === SYSTEM_TENANT ? {} : { tenant })
      clients.set(tenant, connecting)
      const client = await connecting
      const signal = AbortSignal.timeout(NAME_TIMEOUT_MS)
      return (await client.list(pods, { fieldSelector: `status.podIP=${address}`, signal })).items
    },
    onFailure: (error) =>
      process.stderr.write(
        `Pods of other hosts have no names below: the cluster does not answer (${error instanceof Error ? error.message : String(error)})\n`,
      ),
  })
}

/** The drop with names of pods of other hosts, as far as the cluster knows them. */
export async function nameEnds(drop: NamedDrop, finder: Pick<PodFinder, 'find'>): Promise<NamedDrop> {
  const { tenant, network, at } = drop
  if (tenant === undefined || network === undefined) return drop
  const name = async (end: NamedEnd): Promise<NamedEnd> =>
    end.name === undefined ? { ...end, name: await finder.find({ tenant, network, address: end.address, at }) } : end
  return { ...drop, source: await name(drop.source), destination: await name(drop.destination) }
}

/** One line of text. */
export function formatDrop(drop: NamedDrop): string {
  const { at, reason, direction, tenant, via, protocol, source, destination, rule, why } = drop
  const of = tenant === undefined || tenant === SYSTEM_TENANT ? '' : ` (tenant ${tenant})`
  const by = rule === undefined ? '' : ` by ${describeRule(rule)}`
  const host = via === undefined || via.address === source.address ? '' : ` from ${describeHost(via)}`
  return `${at}  ${reason.padEnd(16)} ${direction.padEnd(7)} ${protocol} ${formatEnd(source)} -> ${formatEnd(destination)}${host}${of}${by}${why === undefined ? '' : `. ${why}`}`
}

function describeHost({ address, name }: NonNullable<NamedDrop['via']>): string {
  return name === undefined ? address : `node ${name}`
}

function formatEnd({ address, port, name, group }: NamedEnd): string {
  const place = port === 0 ? address : `${address}:${port}`
  const who = name ?? group
  return who === undefined ? place : `${who} (${place})`
}

/** `NetworkPolicy shop/web, ingress rule 0`. */
export function describeRule({ kind, namespace, name, direction, index }: NonNullable<NamedDrop['rule']>): string {
  const object = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
  return index < 0 ? `${object}, which isolates ${direction}` : `${object}, ${direction} rule ${index}`
}
