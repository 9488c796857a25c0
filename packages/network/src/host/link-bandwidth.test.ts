import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseSpeed } from './link-bandwidth.ts'

it('reads what ethtool says of a speed', () => {
  assert.equal(parseSpeed('Settings for eth0:\n\tSpeed: 25000Mb/s\n\tDuplex: Full\n'), 25e9)
  assert.equal(parseSpeed('Settings for eth0:\n\tSpeed: Unknown!\n'), undefined)
  assert.equal(parseSpeed('Settings for eth0:\n\tLink detected: no\n'), undefined)
})
