#!/bin/sh
# Stands for a bundler: joins the pages, without their comments.
set -eu
mkdir -p out/cgi-bin
for page in src/*.html; do
    grep -v '^<!--' "$page" > "out/$(basename "$page")"
done
for script in src/cgi-bin/*; do
    cp "$script" out/cgi-bin/
    chmod +x "out/cgi-bin/$(basename "$script")"
done
