#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The installed library as its users meet it: a program compiled with pkg-config
# against it, shared and static, started by peal-run and by the launchers of
# Open MPI and MPICH; peal-perf under each of them.
#   installed.sh PREFIX SOURCE
set -u
prefix=$1 source=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name peal.pc)")
library=$(dirname "$(find "$prefix" -name 'libpeal.so' | head -n 1)")
export PKG_CONFIG_PATH LD_LIBRARY_PATH="$library" PATH="$prefix/bin:$PATH"
# Root may run a test of Open MPI; two cores may hold four ranks.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1

# try WHAT WANTED COMMAND...: the output must hold the wanted text.
try() {
    what=$1 wanted=$2
    shift 2
    timeout 120 "$@" </dev/null >"$work/out" 2>&1
    status=$?
    if [ $status -eq 0 ] && grep -q -- "$wanted" "$work/out"; then
        echo "ok    $what"
    else
        echo "WRONG $what: exit status $status, wanted \"$wanted\", got:"
        sed 's/^/      /' "$work/out" | tail -n 25
        bad=1
    fi
}

launchers() {
    echo 'peal-run -n 4'
    if command -v mpirun.openmpi >/dev/null; then
        echo 'mpirun.openmpi -n 4'
    else
        echo 'SKIP: no mpirun of Open MPI (package openmpi-bin)' >&2
    fi
    if command -v mpiexec.mpich >/dev/null; then
        echo 'mpiexec.mpich -n 4'
    else
        echo 'SKIP: no mpiexec of MPICH (package mpich)' >&2
    fi
}

cp "$source/examples/02_allreduce.c" "$work/program.c"
# shellcheck disable=SC2046
cc "$work/program.c" $(pkg-config --cflags --libs peal) -o "$work/shared" || exit 1
# shellcheck disable=SC2046
cc "$work/program.c" $(pkg-config --cflags peal) "$library/libpeal.a" \
    $(pkg-config --static --libs-only-l peal | sed 's/-lpeal//') -o "$work/static" || exit 1

launchers | while read -r launcher; do
    # shellcheck disable=SC2086
    {
        try "$launcher, shared library" 'sum' $launcher "$work/shared"
        try "$launcher, static library" 'sum' $launcher "$work/static"
        try "$launcher peal-perf" 'Out of bounds values : 0 OK' \
            $launcher peal-perf all_reduce -b 8 -e 1M -f 16 -n 5 -c 1
        try "$launcher peal-perf over tcp" 'Out of bounds values : 0 OK' \
            $launcher peal-perf all_gather --transports tcp -b 8 -e 1M -f 16 -n 5 -c 1
    }
    [ $bad -eq 0 ] || exit 1
done || bad=1
# Where one rank cannot load libucp, the next transport of the list is taken.
if ! peal-info | grep -q '^ucx  *yes'; then
    echo "SKIP: a rank without libucp: this build has no UCX, or it does not start" >&2
else
    mkdir "$work/without"
    : >"$work/without/libucp.so.0"     # the loader finds this first, and it is none
    for libraries in "$LD_LIBRARY_PATH" "$work/without:$LD_LIBRARY_PATH"; do
        PEAL_TRANSPORTS=ucx,tcp PEAL_LOG=debug LIBRARIES=$libraries
        export PEAL_TRANSPORTS PEAL_LOG LIBRARIES
        [ "$libraries" = "$LD_LIBRARY_PATH" ] && over=ucx || over=tcp
        # shellcheck disable=SC2016
        try "rank 1 with other libraries, over $over" "reaches rank 0 over $over" peal-run -n 2 \
            sh -c '[ $PEAL_RANK = 0 ] || LD_LIBRARY_PATH=$LIBRARIES; exec "$@"' sh "$work/shared"
        unset PEAL_TRANSPORTS PEAL_LOG LIBRARIES
    done
fi
# An application of Open MPI over UCX, where Peal uses UCX too.
if ! peal-info | grep -q '^ucx  *yes'; then
    echo "SKIP: beside Open MPI's UCX: this build has no UCX, or it does not start" >&2
elif ! command -v mpicc.openmpi >/dev/null; then
    echo 'SKIP: no mpicc of Open MPI (package libopenmpi-dev)' >&2
else
    # shellcheck disable=SC2046
    mpicc.openmpi "$source/tests/beside_mpi.c" $(pkg-config --cflags --libs peal) -o "$work/beside" ||
        exit 1
    for transports in ucx tcp; do
        PEAL_TRANSPORTS=$transports
        export PEAL_TRANSPORTS
        try "beside Open MPI's UCX, over $transports" 'beside MPI: ok' \
            mpirun.openmpi --mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any -n 2 "$work/beside"
        unset PEAL_TRANSPORTS
    done
fi
try 'peal-info' 'allreduce' peal-info
try 'peal-info --json' '"version"' peal-info --json
try 'peal-info --draw' 'rank 0' peal-info --draw allreduce ring 4
try 'peal-info --topology' 'GPU7' peal-info --topology 'socket:2 gpu:8 nvswitch' --rings
try 'peal-info --nccl' '</system>' peal-info --topology 'socket:2 gpu:8 nvswitch' --nccl -
try 'a machine from a pipe' 'ring over 2 GPUs' sh -c \
    'peal-info --topology "gpu:2@a100 nvlink:pairs" --own - | peal-info --topology /dev/stdin --rings'
exit $bad
