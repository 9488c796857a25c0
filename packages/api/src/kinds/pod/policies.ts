/** Values of `imagePullPolicy`, as upstream prints them. */
export const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']
/** Values of a pod's `restartPolicy`, as upstream prints them. */
export const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
/** Protocols of a port. */
export const PORT_PROTOCOLS = ['SCTP', 'TCP', 'UDP']
