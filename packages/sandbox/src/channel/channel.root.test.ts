import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { buildGuests } from '../cases/run-cases.ts'
import { PODS, TwoNodes, until, type Flow } from './two-nodes.ts'

const TALK_MS = 60_000
const PORTS = [[80, 80]] as const
const ALL: readonly Flow[] = [
  { from: 'client', to: 'neighbour', ports: PORTS },
  { from: 'client', to: 'far', ports: PORTS },
]

/** Connections between pods by `quark channel`. Where the network forwards nothing, only a channel can carry them. */
describe('channels between pods', () => {
  let nodes: TwoNodes
  const talk = (to: keyof typeof PODS, what: string, port = 80): Promise<string> =>
    nodes.run('client', ['talk', `${PODS[to].address}:${port}`, what], TALK_MS)
  /** The other node's link may take a moment, and a refusal is remembered for a second. */
  const reaches = (to: keyof typeof PODS): Promise<void> =>
    until(
      `a channel to ${to}`,
      async () => (await nodes.run('client', ['talk', `${PODS[to].address}:80`, 'hello'], 3_000)) === 'hello 0',
    )

  before(async () => {
    const cargo = await findCargo()
    assert(cargo.path !== undefined, cargo.path === undefined ? cargo.why : '')
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    const guests = process.env['GUESTS_BINARY'] ?? (await buildGuests({ cargo: cargo.path, report }))
    const quark = process.env['QUARK_BINARY'] ?? (await buildQuark({ outDir: quarkFolder(), cargo, report }))
    nodes = new TwoNodes({ quark, guests })
    await nodes.serve(1)
    await nodes.serve(2)
    await nodes.start('neighbour', ['echo', '80'])
    await nodes.start('far', ['echo', '80'])
    await nodes.start('client', ['echo', '80'])
    nodes.plan(ALL)
  })
  after(() => nodes.stop())

  it('carry what is said between pods of a node, by memory', async () => {
    await reaches('neighbour')
    const before = nodes.sentBytes('client')
    const said = await talk('neighbour', 'measure')
    assert.equal((JSON.parse(said) as { whole: boolean }).whole, true, said)
    assert(nodes.sentBytes('client') - before < 100_000, 'nothing of it went by the device')
  })

  it('carry what is said between pods of two nodes', async () => {
    await reaches('far')
    const before = nodes.sentBytes('client')
    const said = await talk('far', 'measure')
    assert.equal((JSON.parse(said) as { whole: boolean }).whole, true, said)
    assert(nodes.sentBytes('client') - before < 100_000, 'nothing of it went by the device')
  })

  it('are for what is allowed alone; the rest is the network’s', async () => {
    nodes.plan([ALL[1]!])
    assert.match(
      await nodes.run('client', ['talk', `${PODS.neighbour.address}:80`, 'hello'], 3_000),
      /^(not connected.*)?$/,
    )
    nodes.forward(true)
    await until('the network', async () => (await talk('neighbour', 'hello')) === 'hello 0')
    nodes.plan(ALL)
    // Nobody listens there: what the network says.
    assert.equal(await talk('far', 'hello', 81), 'not connected: connection refused')
    nodes.forward(false)
  })

  /** Starts a conversation that goes on until it breaks, and waits until the other side has heard of it. */
  const keepTalking = async (to: 'neighbour' | 'far'): Promise<{ readonly ending: Promise<string> }> => {
    await reaches(to)
    const heard = (): number => nodes.output(to).split('begun').length
    const before = heard()
    const ending = talk(to, 'keep')
    await until(`a conversation with ${to}`, () => heard() > before)
    return { ending }
  }

  it('break when they are no longer allowed', async () => {
    const near = await keepTalking('neighbour')
    const far = await keepTalking('far')
    nodes.plan([])
    assert.equal(await near.ending, 'talking\nbroken: connection reset')
    assert.equal(await far.ending, 'talking\nbroken: connection reset')
  })

  it('break, and do not end, when the other node’s service is gone, and come again with it', async () => {
    nodes.plan(ALL)
    const { ending } = await keepTalking('far')
    nodes.kill(2)
    assert.equal(await ending, 'talking\nbroken: connection reset')
    await nodes.serve(2)
    await reaches('far')
  })

  it('come again with their own node’s service, whose pods use the network meanwhile', async () => {
    const { ending } = await keepTalking('neighbour')
    nodes.kill(1)
    assert.equal(await ending, 'talking\nbroken: connection reset')
    nodes.forward(true)
    assert.equal(await talk('neighbour', 'hello'), 'hello 0')
    nodes.forward(false)
    await nodes.serve(1)
    await reaches('neighbour')
    await reaches('far')
  })

  it('go on while nobody tells the service anything', async () => {
    nodes.leave(1)
    await reaches('neighbour')
    await reaches('far')
  })
})
