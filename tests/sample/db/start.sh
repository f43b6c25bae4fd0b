#!/bin/sh
# PostgreSQL with one user, whose password comes from DB_PASSWORD.
set -eu
if [ ! -s /data/PG_VERSION ]; then
    printf '%s' "$DB_PASSWORD" > /tmp/password
    initdb --pgdata=/data --username=sample --pwfile=/tmp/password --no-sync \
        --encoding=UTF8 --locale=C --auth-local=trust --auth-host=scram-sha-256
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> /data/pg_hba.conf
fi
# A sample's rows need not survive a loss of power.
exec postgres -D /data -k /tmp -c listen_addresses='*' -c fsync=off -c shared_buffers=16MB
