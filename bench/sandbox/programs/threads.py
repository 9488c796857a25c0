"""An HTTP server whose answers come from threads that wait for work, with some memory of its own."""
import queue, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

requests = queue.Queue()
memory = [bytes([i % 251]) * 1000 for i in range(8000)]


def work():
    while True:
        number, answer = requests.get()
        answer.put(sum(map(len, memory)) + memory[number][0])


for _ in range(8):
    threading.Thread(target=work, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = queue.Queue()
        requests.put((5, answer))
        body = f"sum {answer.get()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
