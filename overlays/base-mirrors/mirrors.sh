# Points apt and apk at the mirrors in APT_MIRROR and APK_MIRROR.
# Packages are signed, so a mirror without TLS serves images that have no certificates yet.
set -eu

# replace FROM TO FILE…: every address that begins with FROM begins with TO instead.
replace() {
    from=$1 to=$2
    shift 2
    for file in "$@"; do
        if [ -f "$file" ]; then
            sed -i "s|https\{0,1\}://$from|$to|g" "$file"
        fi
    done
}

if [ -n "${APT_MIRROR:-}" ]; then
    mirror=${APT_MIRROR%/}
    for host in deb.debian.org security.debian.org archive.ubuntu.com security.ubuntu.com; do
        replace "$host" "$mirror" /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
            /etc/apt/sources.list.d/*.sources
    done
fi
if [ -n "${APK_MIRROR:-}" ]; then
    replace dl-cdn.alpinelinux.org "${APK_MIRROR%/}" /etc/apk/repositories
fi
