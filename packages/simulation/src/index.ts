export { createSimulatedHost, SIMULATED_CAPACITY, type SimulatedCapacity } from './simulated-host.ts'
export { createSimulatedNode, type SimulatedNodeOptions } from './simulated-node.ts'
export { createSimulatedRuntime, type SimulatedRuntime, type SimulatedRuntimeOptions } from './simulated-runtime.ts'
export { readSteering, STEERING_PREFIX, type Steering } from './steering.ts'
