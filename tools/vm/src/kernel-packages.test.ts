import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newestOf } from './kernel-packages.ts'

const PACKAGES = [
  'linux-image-6.12.100+deb12-amd64',
  'linux-image-6.12.99+deb12-amd64',
  'linux-image-6.12.117+deb12-cloud-amd64',
  'linux-image-6.12.117+deb12-rt-amd64',
  'linux-image-6.12.113+deb12-amd64-unsigned',
  'linux-image-6.12-amd64',
  'linux-image-6.1.0-9-amd64',
  'linux-image-6.1.0-57-amd64',
  'linux-image-amd64',
]

describe('the newest kernel of a series', () => {
  it('is found by its numbers', () => {
    assert.equal(newestOf(PACKAGES, '6.12'), 'linux-image-6.12.100+deb12-amd64')
    assert.equal(newestOf(PACKAGES, '6.1'), 'linux-image-6.1.0-57-amd64')
  })

  it('is one release when that is asked for', () => {
    assert.equal(newestOf(PACKAGES, '6.12.99'), 'linux-image-6.12.99+deb12-amd64')
  })

  it('is none of another series', () => {
    assert.equal(newestOf(PACKAGES, '6.6'), undefined)
    assert.equal(newestOf(PACKAGES, '6'), 'linux-image-6.12.100+deb12-amd64')
  })
})
