#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The kernels for NEON under an emulator: the tests of src/devices, cross compiled.
# Skipped where the cross compiler or the emulator is missing (Debian:
# gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static).
#   tests/neon.sh [SOURCE]
set -eu
source=${1-${srcdir-.}}
cc=${NEON_CC-aarch64-linux-gnu-gcc} run=${NEON_RUN-qemu-aarch64-static}
for tool in "$cc" "$run"; do
    command -v "$tool" >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'ENTRY(log_settings)' >"$work/settings.list"
for test in device_kernels devices; do
    "$cc" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
        -I"$work" -I"$source/include" -I"$source/src" -I"$source" \
        "$source/tests/$test.c" "$source"/src/devices/*.c "$source/src/base/status.c" \
        "$source/src/base/log.c" "$source/src/base/settings.c" -o "$work/$test" -lm -lpthread
    "$run" "$work/$test" | tee "$work/$test.log"
done
grep -q '^best: kernels_neon$' "$work/device_kernels.log"
