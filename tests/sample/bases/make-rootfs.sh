#!/bin/sh
# Makes rootfs.tar: a root file system of busybox, from Debian's package of it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(pwd)
# apt's own user must be able to enter the folder it downloads to.
chmod 755 "$work"
cd "$work"
# A new machine has no package lists yet.
apt-get download -q busybox-static || { apt-get update -q && apt-get download -q busybox-static; }
dpkg-deb -x busybox-static_*.deb unpacked
mkdir -p root/bin root/tmp root/etc root/proc root/dev root/sys
cp unpacked/bin/busybox root/bin/busybox
for applet in $(root/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "root/bin/$applet"
done
chmod 1777 root/tmp
printf 'root:x:0:0:root:/:/bin/sh\napp:x:1001:0:app:/:/bin/sh\n' > root/etc/passwd
# The same packages give the same bytes, whoever runs this and whenever.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$here/rootfs.tar.new" -C root .
mv "$here/rootfs.tar.new" "$here/rootfs.tar"
