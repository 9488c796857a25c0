import { execFileSync } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where all of {@link SERVERS} listen. */
const PORT = 8080
const HTTP_REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n'
const RETRY_MS = 2
const ANSWER_MS = 20_000

/** A program that waits for requests. */
export interface Server {
  readonly name: string
  /** Its files in bench/sandbox/programs are in /programs. */
  readonly args: readonly string[]
  /** Sent once, before anything is measured. */
  readonly prepare?: readonly [request: string, answer: string]
  readonly request: string
  /** What the answer has in it. */
  readonly answer: string
  /** Looks at the clock all the time, with nothing to do. */
  readonly ticks?: boolean
  /** Of Debian. */
  readonly package: string
}

export const SERVERS: readonly Server[] = [
  {
    name: 'redis, 50000 keys',
    args: `/usr/bin/redis-server --save --appendonly no --protected-mode no --bind 0.0.0.0 --port ${PORT} --enable-debug-command yes`
      .split(' ')
      .toSpliced(2, 0, ''),
    prepare: ['DEBUG POPULATE 50000 key 200\r\n', '+OK'],
    request: 'GET key:49999\r\n',
    answer: 'value:49999',
    ticks: true,
    package: 'redis-server',
  },
  {
    name: 'Node HTTP',
    args: ['/usr/bin/node', '/programs/hello.mjs', String(PORT)],
    request: HTTP_REQUEST,
    answer: 'hello',
    package: 'nodejs',
  },
  {
    name: 'Python, 9 threads',
    args: ['/usr/bin/python3', '/programs/threads.py', String(PORT)],
    request: HTTP_REQUEST,
    answer: 'sum 8000005',
    package: 'python3',
  },
  {
    name: 'nginx, 2 workers',
    args: ['/usr/sbin/nginx', '-c', '/programs/nginx.conf'],
    request: HTTP_REQUEST,
    answer: 'hello',
    package: 'nginx-light',
  },
]

/** A network namespace, joined to this one by a pair of devices. */
export interface Network {
  /** For a container's configuration. */
  readonly path: string
  /** Of the device inside. */
  readonly address: string
  close(): void
}

/** Makes a network namespace; it goes with `close`. Needs root and `ip`. */
export function openNetwork(): Network {
  const name = `quark-bench-${process.pid}`
  const [outside, inside] = ['10.213.113.1', '10.213.113.2']
  const ip = (command: string): Buffer => execFileSync('ip', command.split(' '), { stdio: 'pipe' })
  ip(`netns add ${name}`)
  try {
    ip(`link add qb${process.pid} type veth peer name eth0 netns ${name}`)
    ip(`addr add ${outside}/30 dev qb${process.pid}`)
    ip(`link set qb${process.pid} up`)
    ip(`-n ${name} addr add ${inside}/30 dev eth0`)
    for (const device of ['lo', 'eth0']) ip(`-n ${name} link set ${device} up`)
  } catch (error) {
    ip(`netns del ${name}`)
    throw error
  }
  return { path: `/run/netns/${name}`, address: inside, close: () => void ip(`netns del ${name}`) }
}

/** From the connection to the answer, in ms. Throws if the answer is another one. */
export function ask(address: string, [request, expected]: readonly [string, string]): Promise<number> {
  const start = performance.now()
  const socket = connect({ host: address, port: PORT, noDelay: true, timeout: ANSWER_MS })
  socket.write(request)
  return new Promise((resolve, reject) => {
    let seen = ''
    const end = (error?: Error): void => {
      socket.destroy()
      if (error === undefined) resolve(performance.now() - start)
      else reject(error)
    }
    socket.setEncoding('latin1').on('data', (text: string) => {
      seen += text
      if (seen.includes(expected)) end()
    })
    socket.on('error', end)
    socket.on('timeout', () => end(new Error(`no answer within ${ANSWER_MS} ms`)))
    socket.on('close', () => end(new Error(`the answer is not "${expected}": ${seen.slice(0, 200)}`)))
  })
}

/** Asks until there is an answer. */
export async function awaitServer(address: string, request: readonly [string, string]): Promise<void> {
  const deadline = performance.now() + ANSWER_MS
  for (;;) {
    try {
      await ask(address, request)
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(RETRY_MS)
    }
  }
}
