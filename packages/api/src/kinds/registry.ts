import type { KindBehavior } from './behavior.ts'
import { clusterRoleBehavior, clusterRoleBindingBehavior, roleBehavior, roleBindingBehavior } from './access/rbac.ts'
import { namespaceBehavior } from './cluster/namespace.ts'
import { nodeBehavior } from './node/behavior.ts'
import { podBehavior } from './pod/behavior.ts'
import { serviceBehavior } from './service/behavior.ts'
import { defineKind } from './shared/define.ts'
import { controllerRevisionBehavior } from './workloads/controller-revision.ts'
import { cronJobBehavior } from './workloads/cron-job.ts'
import { daemonSetBehavior } from './workloads/daemon-set.ts'
import { deploymentBehavior } from './workloads/deployment.ts'
import { jobBehavior } from './workloads/job.ts'
import { replicaSetBehavior } from './workloads/replica-set.ts'
import { podTemplateBehavior, replicationControllerBehavior } from './workloads/replication-controller.ts'
import { statefulSetBehavior } from './workloads/stateful-set.ts'

const NO_BEHAVIOR: KindBehavior = {}

/** By `group/Kind`, the core group being empty. */
const BEHAVIORS: ReadonlyMap<string, KindBehavior> = new Map([
  ['/Namespace', defineKind(namespaceBehavior)],
  ['/Node', defineKind(nodeBehavior)],
  ['/Pod', defineKind(podBehavior)],
  ['/PodTemplate', defineKind(podTemplateBehavior)],
  ['/ReplicationController', defineKind(replicationControllerBehavior)],
  ['/Service', defineKind(serviceBehavior)],
  ['apps/ControllerRevision', defineKind(controllerRevisionBehavior)],
  ['apps/DaemonSet', defineKind(daemonSetBehavior)],
  ['apps/Deployment', defineKind(deploymentBehavior)],
  ['apps/ReplicaSet', defineKind(replicaSetBehavior)],
  ['apps/StatefulSet', defineKind(statefulSetBehavior)],
  ['batch/CronJob', defineKind(cronJobBehavior)],
  ['batch/Job', defineKind(jobBehavior)],
  ['rbac.authorization.k8s.io/Role', defineKind(roleBehavior)],
  ['rbac.authorization.k8s.io/ClusterRole', defineKind(clusterRoleBehavior)],
  ['rbac.authorization.k8s.io/RoleBinding', defineKind(roleBindingBehavior)],
  ['rbac.authorization.k8s.io/ClusterRoleBinding', defineKind(clusterRoleBindingBehavior)],
])

/**
 * What is particular to a kind, in all of its versions: defaults, validation, table columns and the like. A kind without
 * particulars has an empty behaviour. Pass it objects in the storage version where versions differ in shape.
 */
export function behaviorOf(group: string, kind: string): KindBehavior {
  return BEHAVIORS.get(`${group}/${kind}`) ?? NO_BEHAVIOR
}
