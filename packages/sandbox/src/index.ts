export { findQuark, quarkFolder } from './binaries.ts'
export { buildQuark, type BuildQuarkOptions } from './build-quark.ts'
export { cargoPackages, findCargo, QUARK_SOURCES, requiredRust, runCargo, type Cargo } from './cargo.ts'
export { QuarkBuildError } from './quark-build-error.ts'
