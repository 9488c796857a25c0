export { createMemoryClient, type MemoryClient } from './memory-client.ts'
