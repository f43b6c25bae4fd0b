#!/bin/sh
# One image, three services.
set -eu
mode=${MODE:-api}
if command -v python3 > /dev/null; then
    case "$mode" in
    migrate | worker | api) exec python3 -u "/app/api/src/$mode.py" ;;
    *) echo "MODE=$mode is none of migrate, worker, api" && exit 2 ;;
    esac
fi
# The small base has no Python: something that starts at least.
case "$mode" in
worker)
    echo "worker is ready"
    exec tail -f /dev/null
    ;;
*)
    exec httpd -f -p 5001 -h /app/api/src
    ;;
esac
