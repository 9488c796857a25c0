import type { KubeObject, ResourceType } from '@centaurus/api'
import { controllerrevisions, daemonsets, deployments, replicasets, statefulsets } from '@centaurus/api/apps/v1'
import { cronjobs, jobs } from '@centaurus/api/batch/v1'
import {
  configmaps,
  endpoints,
  namespaces,
  nodes,
  pods,
  resourcequotas,
  secrets,
  serviceaccounts,
  services,
} from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'

/** Everything that a run makes, and what is made of it. */
export const WATCHED_TYPES = [
  pods,
  nodes,
  namespaces,
  services,
  configmaps,
  secrets,
  serviceaccounts,
  resourcequotas,
  endpoints,
  endpointslices,
  deployments,
  replicasets,
  statefulsets,
  daemonsets,
  controllerrevisions,
  jobs,
  cronjobs,
] as unknown as readonly ResourceType<KubeObject>[] // the types of different objects
