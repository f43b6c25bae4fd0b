#!/bin/sh
# One image, two services.
set -eu
case "${MODE:-api}" in
worker)
    echo "worker is ready"
    exec tail -f /dev/null
    ;;
*)
    exec httpd -f -p 5001 -h /app/api/src
    ;;
esac
