#!/bin/sh
# Makes rootfs.tar: a root file system of busybox, from Debian's package of it. Where there is no
# apt-get, a container of debian:bookworm-slim makes it, and writes it to its standard output.
# With another architecture of Debian's, such as arm64, makes rootfs-arm64.tar, without links to
# busybox: its own program makes them in the build.
set -eu

arch=
case "${1:-}" in "" | --stdout) ;; *) arch=$1 && shift ;; esac
into=rootfs${arch:+-$arch}.tar

archive() (
    # All but the archive goes to the log.
    exec 3>&1 1>&2 < /dev/null
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # apt's own user must be able to enter the folder it downloads to.
    chmod 755 "$work"
    cd "$work"
    if [ -n "$arch" ]; then
        # Lists of its own: this machine's apt knows nothing of the other architecture.
        mkdir -p apt/lists/partial apt/cache/archives/partial
        set -- -q -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" \
            -o "Dir::State=$work/apt" -o Dir::State::status=/dev/null -o "Dir::Cache=$work/apt/cache"
        apt-get "$@" update
        apt-get "$@" download busybox-static
    else
        # A new machine has no package lists yet.
        apt-get download -q busybox-static || { apt-get update -q && apt-get download -q busybox-static; }
    fi
    dpkg-deb -x busybox-static_*.deb unpacked
    mkdir -p root/bin root/tmp root/etc root/proc root/dev root/sys
    # Debian 13 has it in /usr/bin.
    find unpacked -type f -path '*/bin/busybox' -exec cp {} root/bin/busybox ';'
    if [ -z "$arch" ]; then
        for applet in $(root/bin/busybox --list); do
            [ "$applet" = busybox ] || ln -sf busybox "root/bin/$applet"
        done
    fi
    chmod 1777 root/tmp
    printf 'root:x:0:0:root:/:/bin/sh\napp:x:1001:0:app:/:/bin/sh\n' > root/etc/passwd
    printf 'root:x:0:\napp:x:1001:\n' > root/etc/group
    # The same packages give the same bytes, whoever runs this and whenever.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - -C root . >&3
)

if [ "${1:-}" = --stdout ]; then
    archive
elif command -v apt-get > /dev/null; then
    archive > "$into.new"
else
    docker run --rm --interactive debian:bookworm-slim sh -s -- ${arch:+"$arch"} --stdout < "$0" > "$into.new"
fi
[ "${1:-}" = --stdout ] || mv "$into.new" "$into"
