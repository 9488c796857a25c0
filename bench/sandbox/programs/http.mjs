// Requests over loopback, 16 under way, to a server in a process of its own; a line of JSON.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'

if (process.argv[2] === 'serve') {
  const server = createServer((_, response) => response.end('hello'))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
} else {
  const server = fork(process.argv[1], ['serve'])
  const [port] = await once(server, 'message')
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const request = () =>
    new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', resolve)).on('error', reject)
    })
  const load = async (count) => {
    let left = count
    const worker = async () => {
      while (left-- > 0) await request()
    }
    await Promise.all(Array.from({ length: 16 }, worker))
  }
  const count = Number(process.argv[2])
  await load(count / 10)
  const start = performance.now()
  await load(count)
  const seconds = (performance.now() - start) / 1000
  agent.destroy()
  server.kill()
  console.log(JSON.stringify({ requests: count / seconds }))
}
