export type {
  CallOptions,
  Client,
  ClientWatch,
  ClientWatchOptions,
  DeleteOptions,
  JsonPatchOperation,
  ListOptions,
  ObjectList,
  ObjectName,
  Patch,
  PatchOptions,
  SelectOptions,
  WatchEventType,
  WriteOptions,
} from './client.ts'
export type { Informer, InformerFactory, InformerHandler } from './informer.ts'
