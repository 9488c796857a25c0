import {
  ApiException,
  AppsV1Api,
  CustomObjectsApi,
  makeInformer,
  type KubeConfig,
  type KubernetesObject,
  type V1Deployment,
} from '@kubernetes/client-node'

/** An operator written with the official JavaScript client: each `Website` gets a Deployment of its own. */
export interface Website extends KubernetesObject {
  spec: { page: string; replicas?: number }
}

export const GROUP = 'example.com'
const NAMESPACE = 'default'
const LIST_PATH = `/apis/${GROUP}/v1/namespaces/${NAMESPACE}/websites`

/** Watches Websites and keeps their Deployments right until stopped. */
export async function startOperator(
  config: KubeConfig,
  onError: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const apps = config.makeApiClient(AppsV1Api)
  const custom = config.makeApiClient(CustomObjectsApi)
  const informer = makeInformer<Website>(config, LIST_PATH, () =>
    custom.listNamespacedCustomObject({ group: GROUP, version: 'v1', namespace: NAMESPACE, plural: 'websites' }),
  )
  const reconcile = (site: Website): void => void reconcileWebsite(apps, site).catch(onError)
  informer.on('add', reconcile)
  informer.on('update', reconcile)
  informer.on('error', onError)
  await informer.start()
  return () => informer.stop()
}

/** Creates the Deployment or brings it to what the Website asks for. Safe to run any number of times. */
async function reconcileWebsite(apps: AppsV1Api, site: Website): Promise<void> {
  const body = planDeployment(site)
  const name = body.metadata!.name!
  try {
    await apps.createNamespacedDeployment({ namespace: NAMESPACE, body })
  } catch (error) {
    if (!(error instanceof ApiException) || error.code !== 409) throw error
    await apps.replaceNamespacedDeployment({ namespace: NAMESPACE, name, body })
  }
}

/** What a Website wants to exist. Pure. */
export function planDeployment(site: Website): V1Deployment {
  const labels = { website: site.metadata!.name! }
  const owner = {
    apiVersion: `${GROUP}/v1`,
    kind: 'Website',
    name: site.metadata!.name!,
    uid: site.metadata!.uid!,
    controller: true,
  }
  return {
    metadata: { name: site.metadata!.name!, labels, ownerReferences: [owner] },
    spec: {
      replicas: site.spec.replicas ?? 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            { name: 'httpd', image: 'localhost/centaurus/busybox:1', env: [{ name: 'PAGE', value: site.spec.page }] },
          ],
        },
      },
    },
  }
}
