#!/bin/sh
# Makes rootfs.tar: a root file system of busybox, from Debian's package of it. Where there is no
# apt-get, a container of debian:bookworm-slim makes it, and writes it to its standard output.
set -eu

archive() (
    # All but the archive goes to the log.
    exec 3>&1 1>&2 < /dev/null
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # apt's own user must be able to enter the folder it downloads to.
    chmod 755 "$work"
    cd "$work"
    # A new machine has no package lists yet.
    apt-get download -q busybox-static || { apt-get update -q && apt-get download -q busybox-static; }
    dpkg-deb -x busybox-static_*.deb unpacked
    mkdir -p root/bin root/tmp root/etc root/proc root/dev root/sys
    # Debian 13 has it in /usr/bin.
    find unpacked -type f -path '*/bin/busybox' -exec cp {} root/bin/busybox ';'
    for applet in $(root/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -sf busybox "root/bin/$applet"
    done
    chmod 1777 root/tmp
    printf 'root:x:0:0:root:/:/bin/sh\napp:x:1001:0:app:/:/bin/sh\n' > root/etc/passwd
    printf 'root:x:0:\napp:x:1001:\n' > root/etc/group
    # The same packages give the same bytes, whoever runs this and whenever.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - -C root . >&3
)

if [ "${1:-}" = --stdout ]; then
    archive
elif command -v apt-get > /dev/null; then
    archive > rootfs.tar.new
else
    docker run --rm --interactive debian:bookworm-slim sh -s -- --stdout < "$0" > rootfs.tar.new
fi
[ "${1:-}" = --stdout ] || mv rootfs.tar.new rootfs.tar
