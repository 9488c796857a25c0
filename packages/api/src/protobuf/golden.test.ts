import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { load } from 'js-yaml'
import { KUBERNETES_VERSION } from '../generated/definitions.ts'
import { definitionOfKind } from '../schema/builtin.ts'
import { decodeProtobuf, encodeProtobuf } from './protobuf.ts'

/** Upstream's golden objects: every kind with every field set, in JSON, YAML and protobuf. */
function goldenDir(): string | undefined {
  const module = `k8s.io/api@${KUBERNETES_VERSION.replace(/^v1\./, 'v0.')}`
  try {
    const output = execFileSync('go', ['mod', 'download', '-json', module], { cwd: '/', encoding: 'utf8' })
    return join((JSON.parse(output) as { Dir: string }).Dir, 'testdata')
  } catch {
    return undefined
  }
}

const directory = goldenDir()
const skip = directory === undefined ? '`go` is missing, which fetches the golden objects' : false

/** Names without extension of the objects of one release whose kinds we have. */
function goldenNames(release: string): string[] {
  return readdirSync(join(directory!, release))
    .filter((file) => file.endsWith('.pb') && !file.includes('.after_roundtrip.'))
    .map((file) => file.slice(0, -'.pb'.length))
    .filter((name) => {
      // The golden event is wrapped in an envelope, which no watch stream does: protobuf.test.ts reads events.
      if (name === 'core.v1.WatchEvent') return false
      const [kind, version, ...group] = name.split('.').reverse() as [string, string, ...string[]]
      return (
        definitionOfKind(
          group
            .reverse()
            .join('.')
            .replace(/^core$/, ''),
          version,
          kind,
        ) !== undefined
      )
    })
}

/** The file itself, or what upstream makes of it where the release's fields have changed since. */
function readGolden(release: string, name: string, extension: string): Buffer {
  const changed = join(directory!, release, `${name}.after_roundtrip.${extension}`)
  return readFileSync(existsSync(changed) ? changed : join(directory!, release, `${name}.${extension}`))
}

function checkGolden(release: string, name: string): void {
  const source = readFileSync(join(directory!, release, `${name}.pb`))
  const json = JSON.parse(readGolden(release, name, 'json').toString()) as object
  const bytes = readGolden(release, name, 'pb')
  assert.deepEqual(decodeProtobuf(source), json, `${release} ${name}: decoded protobuf is the JSON`)
  assert.deepEqual(load(readGolden(release, name, 'yaml').toString(), {}), json, `${release} ${name}: YAML is the JSON`)
  assert.equal(Buffer.from(encodeProtobuf(json)).toString('hex'), bytes.toString('hex'), `${release} ${name}: bytes`)
}

describe('the golden objects of upstream', { skip }, () => {
  it('are the same in protobuf, YAML and JSON for every kind of this release', () => {
    const names = goldenNames('HEAD')
    assert.ok(names.length >= 130, `only ${names.length} kinds`)
    for (const name of names) checkGolden('HEAD', name)
  })

  it('of the previous releases are read and written as upstream does', () => {
    const releases = readdirSync(directory!).filter((name) => /^v1\.\d+\.0$/.test(name))
    assert.ok(releases.length > 0)
    for (const release of releases) for (const name of goldenNames(release)) checkGolden(release, name)
  })
})
