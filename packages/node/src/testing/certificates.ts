import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TestCertificates {
  readonly ca: string
  /** For 127.0.0.1, to serve and to call with. */
  readonly cert: string
  readonly key: string
}

/** A certificate authority of one test, and one certificate, made with openssl. */
export function makeTestCertificates(): TestCertificates {
  const dir = mkdtempSync('/tmp/centaurus-certificates-')
  const run = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  try {
    run('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '1', '-subj', '/CN=test-ca')
    run('req', ...newKey, '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', '/CN=127.0.0.1')
    writeFileSync(join(dir, 'ext'), 'subjectAltName=IP:127.0.0.1\n')
    run(
      'x509',
      '-req',
      '-in',
      'leaf.csr',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      'leaf.crt',
      '-days',
      '1',
      '-extfile',
      'ext',
    )
    const read = (file: string): string => readFileSync(join(dir, file), 'utf8')
    return { ca: read('ca.crt'), cert: read('leaf.crt'), key: read('leaf.key') }
  } finally {
    rmSync(dir, { recursive: true })
  }
}
