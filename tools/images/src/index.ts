export { buildBusyboxImage, type BusyboxImageOptions } from './busybox.ts'
export { buildImage, type ImageOptions } from './oci.ts'
export { buildPauseImage, type PauseImageOptions } from './pause.ts'
export { writeTar, type TarEntry } from './tar.ts'
