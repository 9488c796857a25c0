import { createHash } from 'node:crypto'
import { arch } from 'node:process'

import { writeTar, type TarEntry } from './tar.ts'

export interface ImageOptions {
  /** Full name with tag: `centaurus.io/busybox:1`. */
  readonly name: string
  readonly files: readonly TarEntry[]
  readonly entrypoint?: readonly string[] | undefined
  readonly command?: readonly string[] | undefined
  readonly env?: readonly string[] | undefined
  readonly user?: string | undefined
  readonly workingDir?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

const ARCHITECTURES: Partial<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/** An OCI image archive (a tar of an OCI layout) with one uncompressed layer. Source: OCI image-spec v1.0, image-layout.md. */
export function buildImage(options: ImageOptions): Uint8Array {
  const layer = writeTar(options.files)
  const layerDigest = digest(layer)
  const config = json({
    created: '1970-01-01T00:00:00Z',
    architecture: ARCHITECTURES[arch] ?? arch,
    os: 'linux',
    config: {
      Env: options.env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: options.entrypoint,
      Cmd: options.command,
      User: options.user,
      WorkingDir: options.workingDir,
      Labels: options.labels,
    },
    rootfs: { type: 'layers', diff_ids: [layerDigest] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'centaurus' }],
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest(config), size: config.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layerDigest, size: layer.length }],
  })
  return writeTar([
    { type: 'file', path: 'oci-layout', data: json({ imageLayoutVersion: '1.0.0' }) },
    { type: 'file', path: 'index.json', data: index(options.name, manifest) },
    { type: 'folder', path: 'blobs' },
    { type: 'folder', path: 'blobs/sha256' },
    ...[config, manifest, layer].map((data): TarEntry => ({
      type: 'file',
      path: `blobs/sha256/${digest(data).slice(7)}`,
      data,
    })),
  ])
}

function index(name: string, manifest: Uint8Array): Uint8Array {
  const descriptor = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digest(manifest),
    size: manifest.length,
    annotations: {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
    },
    platform: { architecture: ARCHITECTURES[arch] ?? arch, os: 'linux' },
  }
  return json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [descriptor] })
}

function digest(data: Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
