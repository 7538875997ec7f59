#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two network namespaces, joined by a pair of virtual interfaces, stand for two
# hosts with two ranks each: shared memory inside, TCP between, over IPv4 and
# IPv6; and what happens when the link goes down.  Wants root and ip.
# Usage: namespaces.sh [program]
program=${1:-${NAMESPACES_RANK:-./namespaces_rank}}
skip() { echo "SKIP: $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
command -v ip > /dev/null || skip "no ip (iproute2)"
[ -x "$program" ] || skip "no program $program"

a=peal-a-$$ b=peal-b-$$
folder=$(mktemp -d) || exit 1
cleanup() {
    kill -KILL $(jobs -p) 2> /dev/null
    wait 2> /dev/null
    ip netns del $a 2> /dev/null
    ip netns del $b 2> /dev/null
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

ip netns add $a 2> "$folder/why" || skip "cannot make a network namespace: $(cat "$folder/why")"
ip netns add $b || skip "cannot make a second network namespace"
ip link add peal0 netns $a type veth peer name peal0 netns $b 2> "$folder/why" ||
    skip "no virtual interfaces: $(cat "$folder/why")"
for side in "$a 10.77.0.1/24 fd77::1/64" "$b 10.77.0.2/24 fd77::2/64"; do
    set -- $side
    ip -n $1 link set lo up
    ip -n $1 addr add $2 dev peal0
    ip -n $1 addr add $3 dev peal0 nodad
    ip -n $1 link set peal0 up
done

failed=0
export PEAL_SIZE=4 PEAL_SECRET="a secret for the namespaces test" PEAL_INIT_TIMEOUT=20
export PEAL_LOG=error

# start NAME ROOT ARGUMENTS...: four ranks, of which 0 and 1 in namespace a.
start() {
    name=$1 PEAL_ROOT=$2
    export PEAL_ROOT
    shift 2
    pids=
    for rank in 0 1 2 3; do
        PEAL_RANK=$rank timeout -k 1 60 ip netns exec $([ $rank -lt 2 ] && echo $a || echo $b) \
            "$program" "$@" &
        pids="$pids $!"
    done
}
# finish: wait for them; all must end well.
finish() {
    ok=1
    for pid in $pids; do
        wait $pid || ok=0
    done
    [ $ok = 1 ] && echo "$name: ok" || { echo "$name: FAIL"; failed=1; }
}

PEAL_TIMEOUT=20 start "IPv4" 10.77.0.1:27001 sums; finish
PEAL_TIMEOUT=20 start "IPv6" "[fd77::1]:27002" sums; finish
PEAL_TIMEOUT=20 PEAL_INTERFACE=peal0 start "PEAL_INTERFACE" 10.77.0.1:27003 sums; finish
PEAL_TIMEOUT=20 PEAL_TRANSPORTS=tcp start "TCP only" 10.77.0.1:27004 sums; finish

# The link goes down amid large allreduces: an error within the deadline.
begun=$(date +%s)
PEAL_TIMEOUT=5 start "link down" 10.77.0.1:27005 until_cut "$folder/ready"
while [ ! -e "$folder/ready" ] && kill -0 ${pids##* } 2> /dev/null; do
    read -t 0.05 < <(:) || true
done
ip -n $a link set peal0 down
finish
took=$(($(date +%s) - begun))
if [ $took -gt 15 ]; then
    echo "link down: FAIL: it took $took s with PEAL_TIMEOUT=5"
    failed=1
fi
exit $failed
