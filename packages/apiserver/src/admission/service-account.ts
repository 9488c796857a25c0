import { generateName, type Stored } from '@centaurus/api'
import {
  namespaces,
  pods,
  serviceaccounts,
  type Container,
  type Pod,
  type ServiceAccount,
  type Volume,
} from '@centaurus/api/core/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const DEFAULT_ACCOUNT = 'default'
const TOKEN_MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const TOKEN_VOLUME_PREFIX = 'kube-api-access-'
/** An hour and seven seconds: a duration by which tokens of this kind are told apart. Source: serviceaccount.WarnOnlyBoundTokenExpirationSeconds. */
const TOKEN_EXPIRATION_SECONDS = 3607
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'
/** A new Namespace's account is made by a controller; who creates both at once waits so long for it. */
const ACCOUNT_WAIT_MS = 100
const ACCOUNT_WAITS_MAX = 20

/**
 * Gives each new Pod a service account, its token and its pull secrets. Source: kubernetes plugin/pkg/admission/serviceaccount, v1.37.
 */
export const serviceAccount: AdmissionStep = {
  name: 'ServiceAccount',
  handles: (write) => write.operation === 'create' && isWriteTo(write, pods),
  async ready(write, context) {
    for (let wait = 0; wait < ACCOUNT_WAITS_MAX && findAccount(write, context) === undefined; wait++) {
      await context.cache.waitCurrent()
      if (findAccount(write, context) !== undefined) return
      if (accountName(write) !== DEFAULT_ACCOUNT || isMirror(write.draft as Pod)) return
      const { namespace, target } = write.request
      const home = context.reader.get(namespaces, { name: namespace }, { tenant: target.tenant })
      if (home === undefined || home.metadata.deletionTimestamp !== undefined) return // no account will come
      await context.clock.sleep(ACCOUNT_WAIT_MS)
    }
  },
  mutate(write, context) {
    const pod = write.draft as Pod
    const spec = (pod.spec ??= { containers: [] })
    if (isMirror(pod)) return refuseMirrorSecrets(write, pod)
    const name = accountName(write)
    if ((spec.serviceAccountName ?? '') === '') {
      spec.serviceAccountName = name
      spec.serviceAccount = name
    }
    const account = findAccount(write, context)
    if (account === undefined) {
      const where = `${write.request.namespace}/${name}`
      const why = `error looking up service account ${where}: serviceaccount ${JSON.stringify(name)} not found`
      throw refuseAdmission(write, why)
    }
    if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod, context)
    if ((spec.imagePullSecrets ?? []).length === 0 && account.imagePullSecrets !== undefined) {
      spec.imagePullSecrets = account.imagePullSecrets.map((secret) => ({ name: secret.name }))
    }
  },
}

function accountName({ draft }: AdmittedWrite): string {
  const name = (draft as Pod).spec?.serviceAccountName ?? ''
  return name === '' ? DEFAULT_ACCOUNT : name
}

function findAccount(write: AdmittedWrite, { reader }: AdmissionContext): Stored<ServiceAccount> | undefined {
  const { namespace, target } = write.request
  return reader.get(serviceaccounts, { namespace, name: accountName(write) }, { tenant: target.tenant })
}

function isMirror({ metadata }: Pod): boolean {
  return metadata.annotations?.[MIRROR_ANNOTATION] !== undefined
}

/** A mirror Pod stands for one that a node agent runs from a file; it must not get at the cluster's secrets. */
function refuseMirrorSecrets(write: AdmittedWrite, { spec }: Pod): void {
  if ((spec?.serviceAccountName ?? '') !== '') {
    throw refuseAdmission(write, 'a mirror pod may not reference service accounts')
  }
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  const usesSecret =
    (spec?.volumes ?? []).some((volume) => volume.secret !== undefined) ||
    (spec?.imagePullSecrets ?? []).length > 0 ||
    containers.some(
      (container) =>
        (container.env ?? []).some((entry) => entry.valueFrom?.secretKeyRef !== undefined) ||
        (container.envFrom ?? []).some((entry) => entry.secretRef !== undefined),
    )
  if (usesSecret) throw refuseAdmission(write, 'a mirror pod may not reference secrets')
  const projectsToken = (spec?.volumes ?? []).some((volume) =>
    volume.projected?.sources?.some((source) => source.serviceAccountToken !== undefined),
  )
  if (projectsToken) {
    throw refuseAdmission(write, 'a mirror pod may not use ServiceAccountToken volume projections')
  }
}

function mountToken({ spec }: Pod, { random }: AdmissionContext): void {
  const volumes = (spec!.volumes ??= [])
  const existing = volumes.find((volume) => volume.name.startsWith(TOKEN_VOLUME_PREFIX))
  const name = existing?.name ?? generateName(TOKEN_VOLUME_PREFIX, random)
  // containers may be missing: validation comes later
  const all = [...(spec!.initContainers ?? []), ...(spec!.containers ?? [])]
  const containers = all.filter((container) => !hasMount(container))
  for (const container of containers) {
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH }]
  }
  if (existing === undefined && containers.length > 0) volumes.push(tokenVolume(name))
  if (volumes.length === 0) delete spec!.volumes
}

function hasMount({ volumeMounts }: Container): boolean {
  return volumeMounts?.some((mount) => mount.mountPath === TOKEN_MOUNT_PATH) === true
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_EXPIRATION_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  }
}
