#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The shared library exports what peal.h declares, and nothing else; what it loads
# when it is needed, it must not be linked with.
# Usage: symbols.sh [library]; or LIBRARY=...  Needs nm.
library=${1:-${LIBRARY:-.libs/libpeal.so}}
header=${HEADER:-${srcdir:-.}/include/peal.h}
command -v nm > /dev/null || { echo "SKIP: no nm"; exit 77; }
test -e "$library" || { echo "SKIP: no shared library $library"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    sort -u > "$folder/exported"
# A prototype begins a line with its type; comments and function types do not.
sed 's|/\*.*\*/||' "$header" | grep -oE '^(int|size_t|const char \*) ?\*?peal_[a-z0-9_]+\(' |
    grep -oE 'peal_[a-z0-9_]+' | sort -u > "$folder/declared"
comm -23 "$folder/exported" "$folder/declared" | sed 's/^/exported but not declared: /' > "$folder/bad"
comm -13 "$folder/exported" "$folder/declared" | sed 's/^/declared but not exported: /' >> "$folder/bad"
nm -D --undefined-only "$library" | grep -E ' _?(ibv|rdma|ucp|ucs|PMIx)_' |
    sed 's/^ */linked, not loaded: /' >> "$folder/bad"
cat "$folder/bad"
if [ -s "$folder/bad" ] || [ ! -s "$folder/declared" ]; then
    echo "symbols: FAIL"
    exit 1
fi
echo "symbols: ok, $(wc -l < "$folder/exported") functions"
