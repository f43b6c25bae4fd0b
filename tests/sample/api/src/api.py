"""The api: whether all is well, what was done, and a place for files."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2
import redis

import common

PORT = int(os.environ.get("PORT", "5001"))
STORAGE = Path("/app/api/storage")


def health():
    """Asks everything that the api needs."""
    with common.database().cursor() as rows:
        rows.execute("SELECT 1")
    common.queue().ping()
    return {"status": "ok", "database": "ok", "queue": "ok"}


def jobs():
    """What was done, and how much waits."""
    with common.database().cursor() as rows:
        rows.execute("SELECT id, code, result FROM jobs ORDER BY id")
        done = [{"id": number, "code": code, "result": result} for number, code, result in rows]
    return {"done": done, "waiting": common.queue().llen("jobs")}


class Api(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        ask = {"/health": health, "/jobs": jobs}.get(self.path)
        if ask is None:
            return self.answer(404, {"error": "there is no such page"})
        try:
            return self.answer(200, ask())
        except (psycopg2.Error, redis.RedisError) as error:
            return self.answer(500, {"error": str(error)})

    def do_POST(self):
        name = Path(self.path).name
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        (STORAGE / name).write_bytes(body)
        self.answer(201, {"stored": name})

    def answer(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


health()
print(f"the api listens on port {PORT}")
ThreadingHTTPServer(("", PORT), Api).serve_forever()
