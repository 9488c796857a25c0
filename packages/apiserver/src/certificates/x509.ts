import type * as X509 from '@peculiar/x509'

/**
 * Loads the X.509 library on first use: it costs 120 ms, and a server that finds its certificates on disk never issues any.
 * Its dependency injection needs `reflect-metadata` to be there first.
 */
export async function loadX509(): Promise<typeof X509> {
  await import('reflect-metadata')
  return import('@peculiar/x509')
}
