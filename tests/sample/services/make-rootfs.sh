#!/bin/sh
# Makes rootfs.tar: Python, Redis, PostgreSQL and squid on one small root, from Debian's packages
# in the versions that this machine's apt knows. Where there is no apt-get, a container of
# debian:bookworm-slim makes it, and writes it to its standard output.
set -eu

archive() (
    # All but the archive goes to the log.
    exec 3>&1 1>&2 < /dev/null
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # apt's own user must be able to enter the folder it downloads to.
    chmod 755 "$work"
    cd "$work"

    programs="busybox-static python3 python3-psycopg2 python3-redis redis-server postgresql squid"
    # Everything that these depend on, as if nothing was installed here.
    : > nothing
    closure() {
        apt-get -qq --print-uris --option Dir::State::status="$work/nothing" \
            --option APT::Install-Recommends=false --option Debug::NoLocking=1 install $programs
    }
    # A new machine has no package lists yet.
    closure > uris || { apt-get update -q && closure > uris; }
    # Left out: what compiles queries, what only sets packages up, and languages.
    sed "s/^[^ ]* \([^_]*\)_.*/\1/" uris | grep -vE '^(libllvm|libz3-|perl|lib.*-perl$|libperl|locales|libc-l10n|adduser|cron|debconf|dpkg|init-system|logrotate|lsb-base|passwd|postgresql-(client-)?common|ssl-cert|tar$|ucf|usrmerge)' > packages
    echo "downloading $(wc -l < packages) packages"
    mkdir debs
    (cd debs && apt-get download -q $(cat ../packages))

    echo "unpacking them"
    mkdir -p root/usr/bin root/usr/sbin root/usr/lib root/usr/lib64 root/tmp root/etc root/proc root/dev root/sys root/run root/var
    for folder in bin sbin lib lib64; do
        ln -s usr/$folder root/$folder
    done
    for deb in debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C root -f - \
            --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
            --exclude='./usr/share/lintian/*' --exclude='./usr/share/bash-completion/*' \
            --exclude='./usr/lib/*/gconv/*' --exclude='*/bitcode/*' --exclude='*/pgxs' --exclude='./usr/lib/python3*/test' --exclude='./etc/*' --exclude='./var/*'
    done
    # The shell and its tools, but for what is there already.
    for applet in $(busybox=$(find root/usr/bin -name busybox -type f); "$busybox" --list); do
        [ -e "root/usr/bin/$applet" ] || ln -s busybox "root/usr/bin/$applet"
    done
    # Debian keeps the programs of each release of PostgreSQL in a folder of its own.
    for program in root/usr/lib/postgresql/*/bin/*; do
        ln -sf "../${program#root/usr/}" "root/usr/bin/${program##*/}"
    done
    chmod 1777 root/tmp
    printf 'root:x:0:0:root:/:/bin/sh\napp:x:1001:0:app:/:/bin/sh\n' > root/etc/passwd
    printf 'root:x:0:\napp:x:1001:\n' > root/etc/group
    echo 'hosts: files dns' > root/etc/nsswitch.conf
    # The same packages give the same bytes, whoever runs this and whenever.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - -C root . >&3
)

if [ "${1:-}" = --stdout ]; then
    archive
    exit
fi
# Who makes it often keeps it: it is the same for as long as this script is.
kept=${SAMPLE_CACHE:+$SAMPLE_CACHE/services-$(cksum < "$0" | tr -s ' ' -).tar}
if [ -s "$kept" ]; then
    cp "$kept" rootfs.tar.new
elif command -v apt-get > /dev/null; then
    archive > rootfs.tar.new
else
    docker run --rm --interactive debian:bookworm-slim sh -s -- --stdout < "$0" > rootfs.tar.new
fi
if [ -n "$kept" ] && [ ! -s "$kept" ]; then
    mkdir -p "$SAMPLE_CACHE"
    rm -f "$SAMPLE_CACHE"/services-*.tar
    cp rootfs.tar.new "$kept.$$"
    mv "$kept.$$" "$kept"
fi
mv rootfs.tar.new rootfs.tar
