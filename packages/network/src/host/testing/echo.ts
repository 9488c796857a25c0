/** Programs for `node -e`, to be run in network namespaces of tests. */

/** Says its name and whom it sees, on TCP port 80 and UDP port 53. */
export const ECHO = `
const name = process.argv[1]
const udp = require('node:dgram').createSocket('udp4')
udp.on('message', (message, peer) => udp.send(name + ' saw ' + peer.address, peer.port, peer.address))
udp.bind(53, () => require('node:net').createServer((socket) => {
  socket.end(name + ' saw ' + socket.remoteAddress.replace('::ffff:', ''))
}).listen(80, () => console.log('ready')))`

/** Asks one, always from the same port by UDP, and writes the answer or the error's code. */
export const ASK = `
const [kind, address, port] = process.argv.slice(1)
const end = (text) => { console.log(text); process.exit(0) }
setTimeout(() => end('no answer'), 5000)
if (kind === 'tcp') {
  const socket = require('node:net').connect(Number(port), address)
  socket.on('data', (data) => end(String(data))).on('error', (error) => end(error.code))
} else {
  const socket = require('node:dgram').createSocket('udp4')
  socket.on('message', (data) => end(String(data)))
  socket.bind(40404, () => { socket.connect(Number(port), address, () => socket.send('?')) })
}`
