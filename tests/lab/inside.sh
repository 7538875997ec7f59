#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What check-verbs runs in the lab, as root.
#   inside.sh BUILD SEED one|two|siw TRANSPORT...
# "one": this machine has rxe0 and rxe1, on one wire; "two": it has rxe0 and is
# number VERBS_LAB_HOST of two, of which number 0 prints the verdicts; "siw": as "one",
# with siw0 and siw1.
# The tests are called by their names.
# shellcheck disable=SC2317
set -u
build=$1 seed=$2 shape=$3
shift 3
transports=("$@")
host=${VERBS_LAB_HOST:-0}
work=$(mktemp -d) && cd "$work" || exit 1
failed=0 kind=rxe
[ "$shape" != siw ] || kind=siw

export LD_LIBRARY_PATH=$build/.libs
export PEAL_SECRET="a secret for the lab" PEAL_INIT_TIMEOUT=60 PEAL_TIMEOUT=60 PEAL_LOG=error
# UCX: the IPv4 GID, which it would take, does not work for its UD over rxe.
export UCX_TLS=rc,self UCX_IB_GID_INDEX=0 UCX_WARN_UNUSED_ENV_VARS=n

program() { # NAME: the program itself, not libtool's script
  local folder=$build/${1%/*} name=${1##*/}
  [[ $1 = */* ]] || folder=$build
  if [ -x "$folder/.libs/$name" ]; then echo "$folder/.libs/$name"; else echo "$folder/$name"; fi
}
rank=$(program tests/lab_rank)

# try NAME COMMAND...: prints how it went; a command says why not in $work/why, or in
# $work/skipped why it has not been tried.
try() {
  local name=$1 begun=$SECONDS
  shift
  # shellcheck disable=SC2053
  [[ $name = ${LAB_TESTS:-*} ]] || return 0
  rm -f "$work"/out* "$work"/why "$work"/ready* "$work"/skipped
  if "$@"; then
    if [ -s "$work/skipped" ]; then echo "skipped: $name: $(< "$work/skipped")"; return 0; fi
    [ "$host" != 0 ] || echo "ok      $name ($((SECONDS - begun)) s)"
  else
    echo "FAILED  $name ($((SECONDS - begun)) s)"
    cat "$work"/why 2> /dev/null
    tail -n 12 "$work"/out* 2> /dev/null
    failed=1
  fi
}
why() { echo "        $*" >> "$work/why"; return 1; }

on_device() { # K: in a rank's environment, this machine's K-th device
  export UCX_NET_DEVICES=$kind$1:1 PEAL_VERBS_DEVICES=$kind$1
}

# start N FIRST LAST DEVICES COMMAND...: ranks FIRST..LAST of N, dealt out to so many
# devices, each with its output in a file.  The ports are none that the kernel gives away.
port=27000 pids=()
start() {
  local n=$1 first=$2 last=$3 devices=$4 r
  shift 4
  pids=()
  for r in $(seq "$first" "$last"); do
    (
      on_device $((r % devices))
      export PEAL_RANK=$r PEAL_SIZE=$n PEAL_ROOT=10.77.0.1:$port
      exec "$@"
    ) > "out.$r" 2>&1 &
    pids[r]=$!
  done
  port=$((port + 1))
}

# finish SECONDS WANTED...: all end within the time, each with a wanted status.
finish() {
  local until=$((SECONDS + $1)) r rc bad=0
  shift
  for r in "${!pids[@]}"; do
    while kill -0 "${pids[r]}" 2> /dev/null && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
    if kill -0 "${pids[r]}" 2> /dev/null; then
      why "rank $r hangs: $(grep -H . /proc/"${pids[r]}"/task/*/{comm,wchan} | tr '\n' ' ')"
      kill -9 "${pids[r]}"
      bad=1
    fi
    wait "${pids[r]}"
    rc=$?
    [[ " $* " = *" $rc "* ]] || { why "rank $r: exit status $rc, wanted $*"; bad=1; }
  done
  return "$bad"
}

# --- the tests; one machine --------------------------------------------------------

# Ranks that are processes are what all other tests have.
conformance() { # TRANSPORT
  on_device 0
  TEST_EFFORT=quick TEST_SLOWNESS=20 timeout 200 "$(program tests/transports)" "$seed" "$1" brief > out 2>&1 ||
    why "exit status $?"
}

collectives() { # TRANSPORT RANKS DEVICES
  PEAL_TRANSPORTS=self,$1 start "$2" 0 $(($2 - 1)) "$3" "$rank" every
  finish 120 0
}

launched() { # TRANSPORT LAUNCHER...
  on_device 0
  if ! command -v "$2" > /dev/null; then echo "no $2 here" > skipped; return; fi
  timeout 100 "${@:2}" -n 2 "$(program peal-perf)" all_reduce --transports "$1" \
    -b 8 -e 64K -f 64 -n 2 -c 1 > out 2>&1 || why "exit status $?"
  grep -q 'Out of bounds values : 0 OK' out || why 'no verdict of peal-perf'
}

netem() { # TRANSPORT WHAT...: what the wire does while the ranks, one on each device, compute
  local transport=$1 rc=0 dev
  shift
  for dev in vl0 vl1; do tc qdisc add dev "$dev" root netem "$@" || rc=1; done
  collectives "$transport" 2 2 || rc=1
  for dev in vl0 vl1; do tc qdisc del dev "$dev" root; done
  return "$rc"
}

await() { # FILE...: until all are there
  local until=$((SECONDS + 60)) file
  for file; do
    while [ ! -s "$file" ]; do
      [ "$SECONDS" -lt "$until" ] || { why "no $file: the ranks do not start"; return; }
      sleep 0.1
    done
  done
}

# The wire is dead for a second: the sums are right, or an error names a rank.
link_down() { # TRANSPORT
  # Soft-RoCE may forget to repeat: then the rail is given up, 4 x 7 x 0.13 s + 2 s later.
  PEAL_TIMEOUT=20 PEAL_VERBS_TIMEOUT=15 PEAL_TRANSPORTS=self,$1 start 2 0 1 2 "$rank" through "$work/ready" 4
  await ready.0 ready.1
  ip link set vl0 down
  sleep 1
  ip link set vl0 up
  finish 60 0 3
  local rc=$?
  grep -h '^rank' out.* | sed 's/^/        /'
  # The address and the routes of the lab went with the link.
  ip -6 addr show dev vl0 | grep -q fe80 || sleep 2
  ip route replace 10.77.0.2 dev vl0 src 10.77.0.1 table 77
  return "$rc"
}

killed() { # TRANSPORT
  PEAL_TRANSPORTS=self,$1 start 3 0 2 2 "$rank" through "$work/ready" 1000
  await ready.0 ready.1 ready.2 || return
  kill -9 "${pids[1]}"
  wait "${pids[1]}" 2> /dev/null
  unset "pids[1]"
  finish 20 3 || return
  [ "$(grep -l 'rank 1' out.0 out.2 | wc -l)" = 2 ] || why 'an error does not name rank 1'
}

# As a user who may lock 64 KiB: it works, or says at once why not.
locked_memory() { # TRANSPORT
  local rc=0
  PEAL_TRANSPORTS=self,$1 start 2 0 1 1 setpriv --reuid 65534 --regid 65534 --clear-groups \
    bash -c 'ulimit -l 64; exec "$@"' sh "$rank" every
  finish 60 0 1 || rc=1
  if grep -q . out.*; then
    grep -qi -e 'lock' -e memlock out.* || { why 'the error does not speak of locked memory'; rc=1; }
  fi
  return "$rc"
}

# Children with copies of the registered memory come and go.
forks() { # TRANSPORT
  PEAL_TRANSPORTS=self,$1 start 2 0 1 2 "$rank" forks
  finish 60 0
}

queue_pairs() { # three of each port, told only to rank 0
  PEAL_TRANSPORTS=self,verbs PEAL_VERBS_SLICE=64K start 2 0 1 1 \
    sh -c 'if [ $PEAL_RANK = 0 ]; then export NCCL_IB_QPS_PER_CONNECTION=3; fi; exec "$@"' sh "$rank" every
  finish 60 0
}

# rxe has no on-demand paging: that is said once, and all works.
paging() {
  local r
  PEAL_LOG=warn PEAL_VERBS_ODP=1 PEAL_TRANSPORTS=self,verbs start 2 0 1 1 "$rank" every
  finish 60 0 || return
  for r in 0 1; do
    [ "$(grep -c 'PEAL_VERBS_ODP=1, but rxe0' "out.$r")" = 1 ] || why "rank $r does not say it, or not once"
  done
}

devices() {
  local word
  timeout 60 "$(program peal-info)" --devices > out 2>&1 || { why "exit status $?"; return; }
  for word in rxe0:1 RoCE 10.77.0.1 none 'no GPU'; do
    grep -q "$word" out || { why "no word of $word"; return; }
  done
  NCCL_IB_DISABLE=1 timeout 60 "$(program peal-info)" --transports | grep -q NCCL_IB_DISABLE ||
    why 'NCCL_IB_DISABLE is not named'
}

# Devices, and no rdma-core to use them by: Peal works over what else there is.
no_library() {
  local library
  library=$(readlink -f "$(ldconfig -p | sed -n 's/.*=> \(.*libibverbs.so.1\)$/\1/p' | head -n 1)")
  unshare -m sh -c 'mount --bind /dev/null "$0" && "$1" --transports && exec "$2" -n 2 "$3" every' \
    "$library" "$(program peal-info)" "$(program peal-run)" "$rank" > out 2>&1 || why "exit status $?"
  grep -q 'libibverbs.so.1 cannot be loaded' out || why 'it is not said'
}

# says RANKS PATTERN...: the output of each of these ranks has all of them.
says() {
  local r pattern
  for r in $1; do
    for pattern in "${@:2}"; do
      grep -q -e "$pattern" "out.$r" || { why "rank $r does not say: $pattern"; return; }
    done
  done
}

# A write of rank 0 (UCX: a read) that the peer's device refuses: both ranks end and say
# so, or go on over another rail.
wrong_key() { # TRANSPORT RAILS
  local module=$build/tests/.libs/lab_meddle.so rails=$2
  [ -e "$module" ] || { echo "this build has no $module" > skipped; return; }
  # shellcheck disable=SC2016
  PEAL_TRANSPORTS=self,$1 PEAL_LOG=warn start 2 0 1 2 bash -c '
    [ "$PEAL_RANK" != 0 ] || export LD_PRELOAD=$0 LAB_MEDDLE=7
    [ "$1" = 1 ] || export PEAL_VERBS_DEVICES=rxe0,rxe1
    exec "${@:2}"' "$module" "$rails" "$rank" through "$work/ready" 3
  if [ "$rails" = 1 ]; then finish 60 3; else finish 60 0; fi || return
  says 0 'lab_meddle: a wrong key goes over rxe' || return
  case $1,$rails in
    verbs,1) says '0 1' 'remote access error' 'rank [01] on lab0 over rxe[01] port 1' ;;
    verbs,*) says 0 'remote access error.*going on over 1 other rail' \
      'has been repeated over the other rails' 'is used again' ;;
    *) says '0 1' 'UCX .* rank [01] on lab0' ;;
  esac
}

# As many objects of rank 0's device as a control group allows: a protection domain, a
# completion queue, two rings, and no queue pair.
few_objects() { # TRANSPORT OBJECTS STATUS PATTERN
  local group=$work/groups/few
  mkdir -p "$work/groups"
  mountpoint -q "$work/groups" || mount -t cgroup2 none "$work/groups" || return
  if ! echo +rdma > "$work/groups/cgroup.subtree_control" || ! mkdir -p "$group"; then
    echo 'this kernel has no control groups for rdma' > skipped
    return
  fi
  echo "rxe0 hca_handle=max hca_object=$2" > "$group/rdma.max" || return
  # shellcheck disable=SC2016
  PEAL_TRANSPORTS=self,$1 start 2 0 1 2 bash -c '
    [ "$PEAL_RANK" != 0 ] || echo 0 > "$0/cgroup.procs"; exec "$@"' "$group" "$rank" every
  finish 20 "$3" || return
  [ -z "$4" ] || says '0 1' "$4"
}

# What the device does not have, or not as it is asked for: it works without, or an
# error says at once what is wrong.
asked_for() { # TRANSPORT SETTING=VALUE STATUS PATTERN
  # shellcheck disable=SC2016
  PEAL_TRANSPORTS=self,$1 start 2 0 1 2 bash -c 'export "$0"; exec "$@"' "$2" "$rank" every
  finish 20 "$3" || return
  [ -z "$4" ] || says '0 1' "$4"
}

mtu() { # BYTES: of the wire
  ip link set vl0 mtu "$1" && ip link set vl1 mtu "$1"
}

small_wire() { # TRANSPORT
  mtu 1500 || return
  asked_for "$1" PEAL_VERBS_MTU=4096 0 ''
  local rc=$?
  mtu 9000
  return "$rc"
}

lacking_verbs() {
  try 'verbs: a wrong key, two rails' wrong_key verbs 2
  try 'verbs: no queue pair' few_objects verbs 4 1 'ibv_create_qp for rank 1.*rxe0.*rdma.max'
  try 'verbs: no room for the rings' few_objects verbs 2 1 'landing ring for rank 1.*rxe0.*rdma.max'
  try 'verbs: just enough objects of the device' few_objects verbs 5 0 ''
  try 'verbs: more inline than the device has' asked_for verbs PEAL_VERBS_INLINE=1024 0 ''
  try 'verbs: a larger MTU than the wire has' small_wire verbs
  try 'verbs: the smallest MTU' asked_for verbs PEAL_VERBS_MTU=256 0 ''
  try 'verbs: a service level, which RoCE has not' asked_for verbs PEAL_VERBS_SERVICE_LEVEL=15 0 ''
  try 'verbs: the link-local GID' asked_for verbs PEAL_VERBS_GID_INDEX=0 0 ''
  try 'verbs: a GID that is not there' asked_for verbs PEAL_VERBS_GID_INDEX=99 1 \
    'rxe[01] port 1.*PEAL_VERBS_GID_INDEX'
  try 'verbs: a port that is not there' asked_for verbs PEAL_VERBS_PORT=7 1 'PEAL_VERBS_PORT'
  try 'verbs: a device that is not there' asked_for verbs PEAL_VERBS_DEVICES=mlx5_0 1 \
    'PEAL_VERBS_DEVICES'
}

lacking_ucx() {
  try 'ucx: too few objects of the device' few_objects ucx 8 1 'UCX cannot reach rank [01] on'
  try 'ucx: a GID that is not there' asked_for ucx UCX_IB_GID_INDEX=99 1 'cannot reach rank [01] on'
  try 'ucx: a device that is not there' asked_for ucx UCX_NET_DEVICES=rxe9:1 1 \
    'cannot reach rank [01] on'
}

one() { # TRANSPORT
  try "$1: conformance, ranks are threads" conformance "$1"
  try "$1: every collective, 2 ranks, one device" collectives "$1" 2 1
  try "$1: every collective, 4 ranks, one device" collectives "$1" 4 1
  try "$1: every collective, 2 ranks, two devices" collectives "$1" 2 2
  try "$1: every collective, 4 ranks, two devices" collectives "$1" 4 2
  try "$1: peal-perf under peal-run" launched "$1" "$(program peal-run)"
  try "$1: peal-perf under mpirun" launched "$1" mpirun.openmpi --allow-run-as-root
  try "$1: 1 % of the packets lost" netem "$1" loss 1%
  try "$1: packets in another order" netem "$1" delay 1ms reorder 98%
  try "$1: the link goes down and up" link_down "$1"
  try "$1: a rank is killed" killed "$1"
  try "$1: 64 KiB of locked memory" locked_memory "$1"
  try "$1: a wrong key" wrong_key "$1" 1
  "lacking_$1"
  [ "$1" = verbs ] || return 0
  # UCX keeps what it has registered out of children.
  try "$1: children are forked meanwhile" forks "$1"
  try "$1: several queue pairs of a port" queue_pairs
  try "$1: paging is asked for, and not there" paging
  try "$1: what peal-info says of the devices" devices
  try "$1: libibverbs is missing" no_library
}

# --- one machine, iWARP ------------------------------------------------------------

# Both ranks have both devices; one goes, with its connections, and the other goes on.
# It is none of the wire, which the ranks' sockets need.
rail_down() { # TRANSPORT
  { ip link add spare0 type dummy && ip addr add 10.78.0.1/24 dev spare0 &&
    ip link set spare0 up && rdma link add "${kind}9" type "$kind" netdev spare0; } ||
    { why 'no third device'; return; }
  PEAL_TRANSPORTS=self,$1 start 2 0 1 1 env PEAL_VERBS_DEVICES="${kind}0,${kind}9" \
    PEAL_LOG=warn "$rank" through "$work/ready" 3
  await ready.0 ready.1 && ip link set spare0 down && finish 60 0
  local rc=$?
  rdma link delete "${kind}9"
  ip link delete spare0
  [ "$rc" = 0 ] || return
  grep -q 'going on over 1 other rail' out.* || why 'no rail has failed'
}

iwarp() { # TRANSPORT
  try "$1, iWARP: conformance, ranks are threads" conformance "$1"
  try "$1, iWARP: every collective, 2 ranks, one device" collectives "$1" 2 1
  try "$1, iWARP: every collective, 4 ranks, one device" collectives "$1" 4 1
  try "$1, iWARP: every collective, 2 ranks, two devices" collectives "$1" 2 2
  try "$1, iWARP: every collective, 4 ranks, two devices" collectives "$1" 4 2
  try "$1, iWARP: 1 % of the packets lost" netem "$1" loss 1%
  try "$1, iWARP: a rank is killed" killed "$1"
  try "$1, iWARP: a rail fails, another goes on" rail_down "$1"
  try "$1, iWARP: the link goes down and up" link_down "$1"
}

# --- two machines --------------------------------------------------------------------

spread() { # TRANSPORT RANKS: half of them here
  local half=$(($2 / 2))
  PEAL_TRANSPORTS=self,$1 start "$2" $((host * half)) $((host * half + half - 1)) 1 "$rank" every
  finish 150 0
}

two() { # TRANSPORT
  try "$1: every collective, 2 ranks on two machines" spread "$1" 2
  try "$1: every collective, 4 ranks on two machines" spread "$1" 4
}

for transport in "${transports[@]}"; do
  case $shape in
    one) one "$transport" ;;
    two) two "$transport" ;;
    siw) iwarp "$transport" ;;
  esac
done
exit $failed
