"""What the services of this image share: the database and the queue."""

import os

import psycopg2
import redis

QUEUE = os.environ.get("QUEUE", "jobs")


def database():
    """A connection on which every statement is done at once."""
    connection = psycopg2.connect(
        host=os.environ.get("DB_HOST", "db"),
        user="sample",
        password=os.environ["DB_PASSWORD"],
        dbname="postgres",
        connect_timeout=5,
    )
    connection.autocommit = True
    return connection


def queue():
    """Redis. It connects when it is first asked."""
    return redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), decode_responses=True)
