// An HTTP server that says hello.
import { createServer } from 'node:http'

createServer((_, response) => response.end('hello')).listen(Number(process.argv[2]), '0.0.0.0')
