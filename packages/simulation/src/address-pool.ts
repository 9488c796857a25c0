/** Addresses of one IPv4 range, the network's and the broadcast's left out; those given back last come out last. */
export interface AddressPool {
  /** Throws when none is free. */
  take(): string
  release(address: string): void
}

export function createAddressPool(cidr: string): AddressPool {
  const [base = '', bits = '16'] = cidr.split('/')
  const start = toNumber(base)
  const size = 2 ** (32 - Number(bits))
  const free: string[] = []
  let next = 2 // .1 is the gateway's
  return {
    take() {
      if (next < size - 1) return toText(start + next++)
      const address = free.shift()
      if (address === undefined) throw new Error(`Cannot give an address: all of ${cidr} are taken`)
      return address
    },
    release: (address) => void free.push(address),
  }
}

function toNumber(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0)
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
