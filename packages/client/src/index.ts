export { ObjectCache } from './cache/object-cache.ts'
export { createInformerFactory, type InformerFactoryOptions } from './cache/informer-factory.ts'
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
export { LeaderElector, type LeaderElectionOptions } from './election/leader-elector.ts'
export {
  createEventRecorder,
  type EventInit,
  type EventRecorder,
  type EventRecorderOptions,
} from './events/recorder.ts'
export type { Informer, InformerFactory, InformerHandler } from './informer.ts'
export {
  runController,
  TerminalError,
  type ControllerOptions,
  type ReconcileResult,
  type RunningController,
} from './queue/controller.ts'
export { compareResourceVersions, PendingWrites } from './queue/pending-writes.ts'
export { createWorkQueue, WorkQueue, type WorkQueueOptions } from './queue/work-queue.ts'
