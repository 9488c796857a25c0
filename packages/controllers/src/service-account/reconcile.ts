import { deepEqual, isStatus, type Stored } from '@centaurus/api'
import {
  configmaps,
  namespaces,
  serviceaccounts,
  type ConfigMap,
  type Namespace,
  type ServiceAccount,
} from '@centaurus/api/core/v1'
import type { Informer, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { isNamespaceTerminating } from '../frame/pods.ts'

const DEFAULT_ACCOUNT = 'default'
const ROOT_CA_NAME = 'kube-root-ca.crt'
const ROOT_CA_KEY = 'ca.crt'
/** Source: rootcacertpublisher v1.37. */
const ROOT_CA_DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.'

/** Gives each namespace its `default` service account. */
export function startServiceAccountController(deps: ControllerDeps): RunningController {
  const spaces = deps.informers.informer(namespaces)
  const accounts = deps.informers.informer(serviceaccounts)
  return startReconciler(deps, {
    name: 'serviceaccount-controller',
    workers: 1,
    informer: spaces,
    needs: [accounts],
    watch: ({ queue }) => [
      watchActive(spaces, (name) => queue.add(name)),
      accounts.addHandler({
        onDelete: (account) => {
          if (account.metadata.name === DEFAULT_ACCOUNT) queue.add(account.metadata.namespace!)
        },
      }),
    ],
    async reconcile(namespace, { client }) {
      if (!isActive(spaces.get(namespace)) || accounts.get(`${namespace}/${DEFAULT_ACCOUNT}`) !== undefined) return
      const account: ServiceAccount = {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: DEFAULT_ACCOUNT, namespace },
      }
      await client.create(serviceaccounts, account).catch(ignoreRaces)
    },
  })
}

/** Publishes the certificate authority in each namespace as config map `kube-root-ca.crt`, and repairs it. */
export function startRootCaPublisher(deps: ControllerDeps & { readonly rootCa: string }): RunningController {
  const spaces = deps.informers.informer(namespaces)
  const maps = deps.informers.informer(configmaps)
  const enqueueMap = (context: ReconcilerContext, map: Stored<ConfigMap>): void => {
    if (map.metadata.name === ROOT_CA_NAME) context.queue.add(map.metadata.namespace!)
  }
  return startReconciler(deps, {
    name: 'root-ca-certificate-publisher',
    workers: 1,
    informer: spaces,
    needs: [maps],
    watch: (context) => [
      watchActive(spaces, (name) => context.queue.add(name)),
      maps.addHandler({ onUpdate: (map) => enqueueMap(context, map), onDelete: (map) => enqueueMap(context, map) }),
    ],
    async reconcile(namespace, { client }) {
      if (!isActive(spaces.get(namespace))) return
      const wanted = buildRootCaMap(namespace, deps.rootCa)
      const current = maps.get(`${namespace}/${ROOT_CA_NAME}`)
      if (current === undefined) return void (await client.create(configmaps, wanted).catch(ignoreRaces))
      if (deepEqual(current.data, wanted.data)) return
      const annotations = { ...current.metadata.annotations, ...wanted.metadata.annotations }
      await client.update(configmaps, { ...current, data: wanted.data, metadata: { ...current.metadata, annotations } })
    },
  })
}

function buildRootCaMap(namespace: string, rootCa: string): ConfigMap {
  const annotations = { 'kubernetes.io/description': ROOT_CA_DESCRIPTION }
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: ROOT_CA_NAME, namespace, annotations },
    data: { [ROOT_CA_KEY]: rootCa },
  }
}

function watchActive(informer: Informer<Namespace>, enqueue: (name: string) => void): () => void {
  const add = (namespace: Stored<Namespace>): void => {
    if (isActive(namespace)) enqueue(namespace.metadata.name)
  }
  return informer.addHandler({ onAdd: add, onUpdate: add })
}

function isActive(namespace: Stored<Namespace> | undefined): boolean {
  return (
    namespace !== undefined &&
    namespace.metadata.deletionTimestamp === undefined &&
    namespace.status?.phase !== 'Terminating'
  )
}

/** Somebody was faster, or the namespace is going. */
function ignoreRaces(error: unknown): void {
  if (!isStatus(error, 'AlreadyExists') && !isNamespaceTerminating(error)) throw error
}
