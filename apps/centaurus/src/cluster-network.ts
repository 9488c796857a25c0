/** Addresses that every cluster of ours has. */

/** Where pods ask for names. Source: kubeadm's tenth address of the service range. */
export const CLUSTER_DNS = '10.96.0.10'
export const CLUSTER_DOMAIN = 'cluster.local'
/** From which nodes get the addresses of their pods, in every partition. */
export const POD_NETWORKS = ['10.244.0.0/16']
/** Those of the home partition, and of all that are given away to others. */
export const SERVICE_NETWORKS = ['10.96.0.0/11']
