export { createMemoryClient, type MemoryClient } from './memory-client.ts'
export { isInNamespaces, isolateHost, runInNamespaces } from './namespaces.ts'
