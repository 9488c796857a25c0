import { createInterface } from 'node:readline'
import type { NamedDrop, NamedEnd } from '@centaurus/network'
import { askNetwork } from '../network-daemon-client.ts'
import type { Home } from '../home.ts'

/** Prints drops of this host, the newest last. With `follow` until it is told to stop. */
export async function showDrops(
  home: Home,
  { follow, json }: { readonly follow: boolean; readonly json: boolean },
): Promise<void> {
  const response = await askNetwork(home, follow ? '/drops?follow=1' : '/drops')
  let seen = 0
  for await (const line of createInterface({ input: response })) {
    seen++
    process.stdout.write(json ? `${line}\n` : `${formatDrop(JSON.parse(line) as NamedDrop)}\n`)
  }
  if (seen === 0 && !json) process.stdout.write('This host has dropped no packets lately.\n')
}

function formatDrop({ at, reason, direction, tenant, protocol, source, destination, rule, why }: NamedDrop): string {
  const of = tenant === undefined || tenant === 'system' ? '' : ` (tenant ${tenant})`
  const by = rule === undefined ? '' : ` by ${describeRule(rule)}`
  return `${at}  ${reason.padEnd(16)} ${direction.padEnd(7)} ${protocol} ${formatEnd(source)} -> ${formatEnd(destination)}${of}${by}${why === undefined ? '' : `. ${why}`}`
}

function formatEnd({ address, port, name }: NamedEnd): string {
  const place = port === 0 ? address : `${address}:${port}`
  return name === undefined ? place : `${name} (${place})`
}

/** `NetworkPolicy shop/web, ingress rule 0`. */
export function describeRule({ kind, namespace, name, direction, index }: NonNullable<NamedDrop['rule']>): string {
  const object = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
  return index < 0 ? `${object}, which isolates ${direction}` : `${object}, ${direction} rule ${index}`
}
