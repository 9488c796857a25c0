import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { orderModules } from './initramfs.ts'

const MODULES_DEP = `kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz
kernel/fs/netfs/netfs.ko.xz:
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
kernel/fs/overlayfs/overlay.ko:
`

describe('modules', () => {
  it('are loaded after what they need, once', () => {
    assert.deepEqual(orderModules(MODULES_DEP, ['9p', 'overlay', '9pnet']), [
      'kernel/fs/netfs/netfs.ko.xz',
      'kernel/net/9p/9pnet.ko.xz',
      'kernel/fs/9p/9p.ko.xz',
      'kernel/fs/overlayfs/overlay.ko',
    ])
  })

  it('are missed by name', () => {
    assert.throws(() => orderModules(MODULES_DEP, ['geneve']), /module geneve/)
  })
})
