#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The house rules that a program can check; docs/design.md has the table.
# Prints file:line of each break.  Usage: layers.sh [top source directory]
top=${1:-${srcdir:-.}}
cd "$top" || exit 1
bad=$(mktemp) || exit 1
trap 'rm -f "$bad"' EXIT

sources=$(find src transports tools perf examples bindings tests -name '*.[ch]' 2>/dev/null | sort)
library=$(find src transports -name '*.[ch]' | sort)

# Layer: what its files may include besides their own folder's.  peal.h is
# wanted by all whose types it defines.
rules='
src/base:       peal.h
src/observe:    src/base peal.h
src/topology:   src/base
src/devices:    src/base peal.h
src/schedule:   src/base
src/algorithms: src/schedule src/topology src/base
src/executor:   src/schedule src/devices transports/transport.h src/observe src/base
src/comm:       src/executor src/topology transports/transport.h src/devices src/observe src/base peal.h
src/coll:       src/algorithms/algorithm.h src/comm src/executor src/schedule src/topology src/devices src/observe src/base peal.h
src/api:        src/coll src/comm src/topology src/observe src/base peal.h
transports:     src/devices src/observe src/base peal.h
tools:          peal.h
perf:           tools/launcher.h peal.h
examples:       peal.h
bindings:       peal.h'

# Generated lists and config.h belong to nobody.
grep -n '^#include "' $(echo "$sources" | grep -v '^tests/') |
awk -F: -v rules="$rules" '
    BEGIN {
        n = split(rules, line, "\n")
        for (i = 1; i <= n; i++)
            if (line[i] != "") {
                layer = line[i]; sub(/:.*/, "", layer)
                allowed = line[i]; sub(/^[^:]*: */, "", allowed)
                may[layer] = allowed
            }
    }
    function within(path, prefix) {
        return path == prefix || index(path, prefix "/") == 1
    }
    {
        file = $1
        path = $3; sub(/^#include "/, "", path); sub(/".*/, "", path)
        if (path ~ /\.list$/ || path == "config.h")
            next
        layer = ""
        for (l in may)
            if (within(file, l))
                layer = l
        folder = file; sub(/\/[^\/]*$/, "", folder)
        if (path == "peal.h")
            whole = "peal.h"
        else if (path ~ /^(transports|tools|perf|examples|bindings)\//)
            whole = path
        else if (path ~ /\//)
            whole = "src/" path
        else
            whole = folder "/" path
        if (layer == "transports") {
            # The contract, what lies beside it, and the own folder.
            if (within(whole, folder) || whole ~ /^transports\/[^\/]*$/)
                next
        } else if (within(whole, layer))
            next
        m = split(may[layer], list, " ")
        for (i = 1; i <= m; i++)
            if (within(whole, list[i]))
                next
        print file ":" $2 ": " layer " may not include \"" path "\""
    }' >> "$bad"

# Nothing outside a transport's folder names it, as an identifier.
for folder in transports/*/; do
    name=$(basename "$folder")
    grep -nE "(^|[^A-Za-z0-9_])${name}_(transport|port|open|send|recv|connect)\b|transports/$name/" \
        $(echo "$library" | grep -v "^transports/$name/") /dev/null |
        sed "s|\$|   names transport $name|" >> "$bad"
done

# Every .c has a name of its own; a test may have that of what it tests.
echo "$sources" | grep '\.c$' | grep -v '^tests/' | sed 's|.*/||' | sort | uniq -d |
    sed 's|$|: two files of this name|' >> "$bad"
echo "$sources" | grep -E '/[a-z_]*(utils?|misc|common|helpers?)[a-z_]*\.[ch]$' |
    sed 's|$|:1: a name that says nothing|' >> "$bad"

# Length of files and functions.  The interpreter's switch may be long.
for f in $sources; do
    awk -v file="$f" '
        /^[{]/ { start = NR }
        /^[}]/ {
            if (start && NR - start - 1 > 80)
                print file ":" start ": a function of " NR - start - 1 " lines (80)"
            start = 0
        }
        END { if (NR > 600) print file ":600: a file of " NR " lines (600)" }' "$f"
done >> "$bad"

# The preprocessor decides only where the machine differs, for parts that may be
# absent from a build, and in header guards.
for f in $(echo "$library" | grep -Ev '^(src/base|src/devices|transports)/'); do
    awk -v file="$f" '
        /^#ifndef [A-Z0-9_]*_H$/ { next }
        /^# *(if|ifdef|ifndef|elif) / { print file ":" NR ": " $0 "   belongs to base, devices or transports" }
    ' "$f"
done >> "$bad"

# Settings are read through their tables.
grep -nE 'getenv *\( *"PEAL_' $(echo "$library" | grep -v '^src/base/') /dev/null |
    sed 's|$|   use a settings table|' >> "$bad"
grep -nE '\b(TODO|FIXME|XXX)\b' $sources /dev/null | sed 's|$|   belongs in an issue|' >> "$bad"
for f in $sources; do
    head -1 "$f" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' ||
        echo "$f:1: no SPDX line"
done >> "$bad"

cat "$bad"
if [ -s "$bad" ]; then
    echo "layers: FAIL, $(wc -l < "$bad") breaks of the house rules in $(echo "$sources" | wc -l) files"
    exit 1
fi
echo "layers: ok, $(echo "$sources" | wc -l) files"
