"""A local HTTP server that serves bytes well or badly, and remembers what it was asked."""

import re
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


class SmallServer:
    """Answers by path from lists of behaviours; the last one is repeated."""

    def __init__(self, address):
        self.address = address
        self.answers = {}
        self.asked = []

    def url(self, path):
        return f"{self.address}/{path}"

    def on(self, path, *answers):
        """Queue answers: bytes, a status, or (bytes, options).

        Options: ``cut``, bytes after which it hangs up; ``etag``; ``length``, whether it says a length; ``lie``, bytes
        by which that is wrong; ``shift``, bytes by which it resumes elsewhere; ``chunked``; ``stall``, seconds of
        silence after half of the bytes; ``to``, an address to go to instead.
        """
        self.answers[f"/{path}"] = list(answers)
        return self.url(path)

    def next_answer(self, path, headers):
        self.asked.append((path, headers.get("Range")))
        queue = self.answers.get(path, [404])
        return queue.pop(0) if len(queue) > 1 else queue[0]


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            answer = server.next_answer(self.path, self.headers)
            self.close_connection = True
            if isinstance(answer, int):
                self.send_error(answer)
                return
            data, options = answer if isinstance(answer, tuple) else (answer, {})
            self.answer(data, **options)

        def answer(
            self,
            data,
            cut=None,
            etag=None,
            length=True,
            shift=0,
            lie=0,
            chunked=False,
            stall=0,
            to="",
        ):
            start, status = 0, 200
            if to:
                self.send_response(302)
                self.send_header("Location", to)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            if asked and etag and self.headers.get("If-Range") == etag:
                start, status = int(asked[1]) + shift, 206
                if int(asked[1]) >= len(data):
                    self.send_error(416)
                    return
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif length:
                self.send_header("Content-Length", str(len(data) - start + lie))
            if etag:
                self.send_header("ETag", etag)
            self.send_header("Connection", "close")
            self.end_headers()
            body = data[start : len(data) if cut is None else cut]
            if chunked:
                end = b"" if cut is not None else b"0\r\n\r\n"
                body = b"%x\r\n%s\r\n" % (len(data) - start, body) + end
            half = len(body) // 2 if stall else len(body)
            self.wfile.write(body[:half])
            if stall:
                self.wfile.flush()
                time.sleep(stall)
                with suppress(OSError):
                    self.wfile.write(body[half:])

        def log_message(self, *_):
            """Keep the test's output quiet."""

    return Handler


@contextmanager
def serving():
    """Run a server on a free port of this machine."""
    http = ThreadingTCPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = SmallServer(f"http://127.0.0.1:{http.server_address[1]}")
    http.RequestHandlerClass = _handler(server)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
