import type { Container, Pod, PodSpec } from '@centaurus/api/core/v1'

/** The image that `./centaurus up` builds and imports. */
export const IMAGE = 'localhost/centaurus/busybox:1'

/** Lasts until it is told to end, then ends at once. */
export const SLEEP = ['sh', '-c', 'trap exit TERM; while :; do sleep 0.2; done']

export function shell(script: string): string[] {
  return ['sh', '-c', script]
}

/** A pod with one container named `main`, which sleeps unless told otherwise. */
export function pod(name: string, main: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 5,
      ...spec,
      containers: [{ name: 'main', image: IMAGE, command: SLEEP, ...main }, ...(spec.containers ?? [])],
    },
  }
}
