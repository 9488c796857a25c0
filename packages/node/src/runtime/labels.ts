/** Labels and annotations on sandboxes and containers, from which everything is found again. Source: kubelet pkg/types/labels.go and kuberuntime/labels.go, v1.37. */
export const LABEL_POD_NAME = 'io.kubernetes.pod.name'
/** Namespace of the pod. */
export const LABEL_POD_NAMESPACE = 'io.kubernetes.pod.namespace'
/** Uid of the pod; what has none is not a pod's. */
export const LABEL_POD_UID = 'io.kubernetes.pod.uid'
/** Name of the container in the pod's spec. */
export const LABEL_CONTAINER_NAME = 'io.kubernetes.container.name'
export const ANNOTATION_HASH = 'io.kubernetes.container.hash'
export const ANNOTATION_RESTART_COUNT = 'io.kubernetes.container.restartCount'
export const ANNOTATION_TERMINATION_PATH = 'io.kubernetes.container.terminationMessagePath'
export const ANNOTATION_TERMINATION_POLICY = 'io.kubernetes.container.terminationMessagePolicy'
/** Ours: what the container is for: `init`, `sidecar`, `service` (runs for ever) or `task` (comes to an end). */
export const ANNOTATION_ROLE = 'centaurus.io/container-role'
/** A container's preStop handler as JSON, with ports as numbers: so that whoever stops it needs no API. Source: kuberuntime/labels.go. */
export const ANNOTATION_PRE_STOP = 'io.kubernetes.container.preStopHandler'
/** Ours: the pod's priority, on its sandbox. */
export const ANNOTATION_POD_PRIORITY = 'centaurus.io/pod-priority'
export const ANNOTATION_POD_GRACE = 'io.kubernetes.pod.terminationGracePeriod'
