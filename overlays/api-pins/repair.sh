#!/bin/sh
# Writes files/poetry.lock: upstream's, with the changes that `pins` names. Upstream's
# tree stays as it is; the result is laid over the api's context when it is built.
set -eu

upstream=${XTASK_SOURCE_ROOT:?is set by cargo xtask}/api/poetry.lock
awk '
    FNR == 1 { part++ }

    part == 1 && /^#/ { next }
    part == 1 && $2 == "version" { from[$1] = $3; to[$1] = $4 }
    part == 1 && $2 == "requires" { requires[$1, $3] = $4 }
    part == 1 && $2 == "file" { files[$1] = files[$1] "    {file = \"" $3 "\", hash = \"" $4 "\"},\n" }
    part == 1 { next }

    /^\[\[package\]\]/ { package = "" }
    /^name = / { split($0, quoted, "\""); package = quoted[2] }
    !(package in to) { print; next }

    $0 == "version = \"" from[package] "\"" { print "version = \"" to[package] "\""; changed[package] = 1; next }
    $0 == "files = [" { printf "files = [\n%s]\n", files[package]; skipping = 1; next }
    skipping { if ($0 == "]") skipping = 0; next }
    ((package, $1) in requires) && $2 == "=" { print $1 " = \"" requires[package, $1] "\""; next }
    { print }

    END {
        for (package in to) {
            if (!(package in changed)) {
                print package " " from[package] " is not in the lock file: upstream moved on, so mend pins" > "/dev/stderr"
                exit 1
            }
        }
    }
' pins "$upstream" > poetry.lock.new
mkdir -p files
mv poetry.lock.new files/poetry.lock
