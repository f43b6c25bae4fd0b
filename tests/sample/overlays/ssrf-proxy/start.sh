#!/bin/sh
if command -v squid > /dev/null; then
    exec squid -N -f /etc/squid/squid.conf
fi
# The small base has no squid: something that listens at least.
exec httpd -f -p 3128 -h /www
