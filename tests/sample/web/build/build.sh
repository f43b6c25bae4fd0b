#!/bin/sh
# Stands for a bundler: joins the pages, without their comments.
set -eu
mkdir -p out
for page in src/*.html; do
    grep -v '^<!--' "$page" > "out/$(basename "$page")"
done
