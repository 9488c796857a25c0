import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planOutsideRoutes } from './outside-routes.ts'

const source = '192.0.2.1'
const routeOf = (address: string): string =>
  `route replace ${address}/32 via 169.254.1.2 dev centaurus0 onlink src ${source} table 52737`

describe('routes to Services by addresses outside of the cluster', () => {
  it('are made, kept and taken away one by one', () => {
    const seen = [
      { dst: '198.51.100.1', prefsrc: source },
      { dst: '198.51.100.2', prefsrc: source },
    ]
    const addresses = ['198.51.100.2', '198.51.100.3', '198.51.100.3']
    const [neighbour, ...lines] = planOutsideRoutes(seen, { addresses, source })
    assert.match(neighbour!, /^neigh replace 169\.254\.1\.2 lladdr 02:ce:47:00:00:03 dev centaurus0 /)
    assert.deepEqual(lines, [routeOf('198.51.100.3'), 'route del 198.51.100.1 table 52737'])
    assert.deepEqual(planOutsideRoutes(seen, { addresses: seen.map(({ dst }) => dst), source }), [])
  })

  it('have the address that the node has now', () => {
    const seen = [{ dst: '198.51.100.1', prefsrc: '192.0.2.77' }]
    assert.equal(planOutsideRoutes(seen, { addresses: ['198.51.100.1'], source }).at(-1), routeOf('198.51.100.1'))
  })
})
