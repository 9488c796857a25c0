/** Labels by which a run's things are found. */
export const RUN_LABEL = 'simulation.centaurus.io/load'
/** Pods leave a node that fell silent after this long; the default of 300 s would only make runs longer. */
const TOLERATION_SECONDS = 20

export interface PodShape {
  readonly cpuMillicores: number
  readonly memoryMebibytes: number
}

/** What a pod of the density test asks for: a real share, so that nodes can be full. */
export const DENSITY_POD: PodShape = { cpuMillicores: 50, memoryMebibytes: 64 }

interface Place {
  readonly namespace: string
  readonly name: string
}

/** How long a pod stays on a node that is gone; absent: for ever. */
function tolerations(tolerationSeconds: number | undefined): object[] {
  return ['not-ready', 'unreachable'].map((state) => ({
    key: `node.kubernetes.io/${state}`,
    operator: 'Exists',
    effect: 'NoExecute',
    ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }),
  }))
}

function podSpec({ cpuMillicores, memoryMebibytes }: PodShape, tolerationSeconds?: number): object {
  const requests = { cpu: `${cpuMillicores}m`, memory: `${memoryMebibytes}Mi` }
  return {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 5,
    tolerations: tolerations(tolerationSeconds),
    containers: [
      {
        name: 'main',
        image: 'registry.example.com/simulated/web:1',
        ports: [{ containerPort: 8080, name: 'http', protocol: 'TCP' }],
        env: [{ name: 'MODE', value: 'simulated' }],
        resources: { requests, limits: { memory: `${memoryMebibytes}Mi` } },
      },
    ],
  }
}

export function namespaceObject(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { [RUN_LABEL]: 'true' } } }
}

export function deploymentObject(
  { namespace, name }: Place,
  { replicas, shape }: { readonly replicas: number; readonly shape: PodShape },
): object {
  const labels = { app: name, [RUN_LABEL]: 'density' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      revisionHistoryLimit: 2,
      template: { metadata: { labels }, spec: podSpec(shape, TOLERATION_SECONDS) },
    },
  }
}

export function serviceObject({ namespace, name }: Place): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: { [RUN_LABEL]: 'density' } },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  }
}

export function daemonSetObject({ namespace, name }: Place): object {
  const labels = { app: name, [RUN_LABEL]: 'daemon' }
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace, labels },
    spec: {
      selector: { matchLabels: { app: name } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '10%' } },
      template: { metadata: { labels }, spec: podSpec({ cpuMillicores: 20, memoryMebibytes: 32 }) },
    },
  }
}

/** A pod of its own, whose way to Running is timed. Nobody would make it again, so it never leaves its node. */
export function latencyPodObject({ namespace, name }: Place): object {
  const metadata = { name, namespace, labels: { [RUN_LABEL]: 'latency' } }
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec({ cpuMillicores: 10, memoryMebibytes: 16 }) }
}
