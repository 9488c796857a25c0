// Requests over loopback, 16 connections that stay, to an nginx beside this; a line of JSON.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const nginx = spawn('/usr/sbin/nginx', ['-c', join(import.meta.dirname, 'nginx.conf')], { stdio: 'ignore' })
const open = async () => {
  for (;;) {
    const socket = connect({ port: 8080, host: '127.0.0.1', noDelay: true })
    try {
      await once(socket, 'connect')
      return socket
    } catch {
      await sleep(20) // it starts
    }
  }
}
const load = async (count) => {
  let left = count
  const worker = async () => {
    const socket = await open()
    while (left-- > 0) {
      socket.write('GET / HTTP/1.1\r\nHost: bench\r\n\r\n')
      let answer = ''
      while (!answer.endsWith('hello\n')) answer += (await once(socket, 'data'))[0]
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}
const count = Number(process.argv[2])
await load(count / 10)
const start = performance.now()
await load(count)
const seconds = (performance.now() - start) / 1000
nginx.kill()
await once(nginx, 'exit')
console.log(JSON.stringify({ requests: count / seconds }))
