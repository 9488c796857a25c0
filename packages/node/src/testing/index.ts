export { createMemoryClient, type MemoryClient } from './memory-client.ts'
export { isInNamespaces, isolateHost, killShims, runInNamespaces } from './namespaces.ts'
