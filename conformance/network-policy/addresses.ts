/** Pods a and b of a namespace are on one node, c is on another, each in its block of the pods' addresses. */
export function addressOf(pod: string): string {
  const [namespace = '', name = ''] = pod.split('/')
  return `10.244.${name === 'c' ? 2 : 1}.${16 * (1 + ['x', 'y', 'z'].indexOf(namespace)) + ['a', 'b', 'c'].indexOf(name)}`
}
