"""Makes the table, and leaves the worker a first job. Ends when that is done."""

import json

import common

TABLE = "CREATE TABLE IF NOT EXISTS jobs (id serial PRIMARY KEY, code text, result text)"

with common.database().cursor() as rows:
    rows.execute(TABLE)
common.queue().rpush("jobs", json.dumps({"code": "echo $((6 * 7))"}))
print("the table is there, and a first job waits")
