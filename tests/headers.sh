#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# peal.h alone compiles as C11 and as C++17, with all warnings, and can be used.
# Usage: headers.sh [include directory]; CC and CXX choose the compilers.
include=${1:-${srcdir:-.}/include}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
bad=0

cat > "$folder/use.h" <<'END'
#include <peal.h>
#include <peal.h>
int use(peal_comm_t comm);
int use(peal_comm_t comm)
{
    peal_config_t config = PEAL_CONFIG_INIT;
    peal_request_t request = PEAL_REQUEST_NULL;
    float x[4] = { 0, 0, 0, 0 };
    int status = peal_iallreduce(PEAL_IN_PLACE, x, 4, PEAL_FLOAT32, PEAL_SUM, comm, &request);

    return status == PEAL_OK && config.size == sizeof config ? peal_wait(&request) : status;
}
END
cp "$folder/use.h" "$folder/use.c"
cp "$folder/use.h" "$folder/use.cc"

check() {                      # compiler, standard, file
    if ! command -v "${1%% *}" > /dev/null 2>&1; then
        echo "SKIP: $2: no $1"
    elif $1 -std=$2 -pedantic-errors -Wall -Wextra -Wshadow -Werror $4 -I"$include" \
            -c "$folder/$3" -o "$folder/use.o"; then
        echo "$2: ok"
    else
        echo "$2: FAIL"
        bad=1
    fi
}
check "${CC:-cc}" c11 use.c -Wstrict-prototypes
check "${CC:-cc}" c17 use.c -Wstrict-prototypes
check "${CXX:-c++}" c++17 use.cc -Wno-missing-field-initializers
exit $bad
