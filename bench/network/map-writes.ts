import { BpfMap } from '@centaurus/network/testing'

/** Entries of kernel tables that are written or deleted while `action` runs, by whoever does it. */
export function countMapWrites(action: () => void): number {
  const { set, setMany, delete: remove, deleteMany } = BpfMap.prototype
  let writes = 0
  BpfMap.prototype.set = function (...args) {
    writes++
    return set.apply(this, args)
  }
  BpfMap.prototype.setMany = function (entries) {
    writes += entries.length
    return setMany.call(this, entries)
  }
  BpfMap.prototype.delete = function (...args) {
    writes++
    return remove.apply(this, args)
  }
  try {
    action()
  } finally {
    Object.assign(BpfMap.prototype, { set, setMany, delete: remove, deleteMany })
  }
  return writes
}
