"""Takes jobs from the queue, has the sandbox run their code, and writes down what it printed."""

import json
import os
import urllib.request

import common

SANDBOX = os.environ.get("SANDBOX_URL", "http://sandbox:8194")

queue, database = common.queue(), common.database()
print(f"worker is ready, and waits for jobs in the queue `{common.QUEUE}`")
while True:
    _, job = queue.blpop(common.QUEUE)
    code = json.loads(job)["code"]
    with urllib.request.urlopen(f"{SANDBOX}/cgi-bin/run", code.encode(), timeout=10) as answer:
        result = answer.read().decode().strip()
    with database.cursor() as rows:
        rows.execute(
            "INSERT INTO jobs (code, result) VALUES (%s, %s) RETURNING id", (code, result)
        )
        (number,) = rows.fetchone()
    print(f"job {number} is done: {result}")
