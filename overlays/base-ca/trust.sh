# Adds the certificates in /usr/local/share/ca-certificates to the bundle that programs read.
# Needs nothing but a shell with the usual small tools, and no network.
set -eu

own=/usr/local/share/ca-certificates
bundle=/etc/ssl/certs/ca-certificates.crt

set -- "$own"/*.crt
if [ ! -s "$1" ]; then
    echo "no certificate found: put your company's, as *.crt, into overlays/base-ca/certs" >&2
    exit 1
fi
for file in "$@"; do
    if ! grep -q 'BEGIN CERTIFICATE' "$file"; then
        echo "$file is no certificate in PEM form: convert it with openssl x509 -inform der" >&2
        exit 1
    fi
done

# An image without Debian's or Alpine's bundle may have that of another distribution.
mkdir -p "${bundle%/*}"
if [ ! -s "$bundle" ]; then
    for other in /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -s "$other" ]; then
            cat "$other" > "$bundle"
            break
        fi
    done
fi
for file in "$@"; do
    # Files do not always end with a newline.
    { echo; cat "$file"; echo; } >> "$bundle"
done

# apt reads no variable, and an image without ca-certificates has nothing else.
if [ -d /etc/apt/apt.conf.d ]; then
    echo "Acquire::https::CAInfo \"$bundle\";" > /etc/apt/apt.conf.d/90-own-authorities
fi
