export { commandHere } from './command-here.ts'
export { type Kernel, prepareKernel } from './kernel.ts'
export { MissingError } from './missing-error.ts'
export { runInVm, type VmOptions } from './virtual-machine.ts'
