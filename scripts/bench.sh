#!/usr/bin/env bash
# Measures tapsock against stock smoltcp, in a private network. See benches/README.md.
#
#   ./scripts/bench.sh tap [RUNS] [SECONDS]
#   ./scripts/bench.sh loopback [RUNS] [SECONDS]
#   ./scripts/bench.sh connections [cost|memory|churn]
#   ./scripts/bench.sh trace [RUNS] [SECONDS]
#
#   tap       one TCP stream over a plain TAP, each direction: prints the medians and their ratio
#   loopback  two sockets of one stack, by packets (--loopback wire), in one thread and in three, and stock smoltcp
#             over its own loopback device in one: prints the medians and their ratio
#   connections
#             in process, without a network: what a segment costs among 100 to 100 000 connections, what an idle
#             connection costs in memory, how many connections a second can come and go
#   trace     what it costs to be watchable, and to be watched: the instructions of the data path beside those of a build
#             that can tell nothing (callgrind, in virtual time), and one TCP stream over a plain TAP, with
#             'tapsock trace --depth frame -w FILE' beside it and without
#   RUNS      how many of each, in turns (5)
#   SECONDS   how long each takes (3)
#
# Root is not needed. Leave the machine alone meanwhile.

set -euo pipefail
script=$(realpath "${BASH_SOURCE[0]}")
here=${script%/*}
# shellcheck source-path=SCRIPTDIR source=lib/sentence.sh
. "$here/lib/sentence.sh"
# shellcheck source-path=SCRIPTDIR source=lib/packages.sh
. "$here/lib/packages.sh"
# shellcheck source-path=SCRIPTDIR source=lib/rust.sh
. "$here/lib/rust.sh"
# shellcheck source-path=SCRIPTDIR source=lib/namespace.sh
. "$here/lib/namespace.sh"

case ${1:-} in
  -h | --help) help ;;
  tap | loopback | trace) ;;
  connections)
    need_rust
    cd "$here/.."
    shift
    exec cargo bench --quiet --locked --bench connections -- "$@"
    ;;
  '') refuse "say what to measure: $0 tap, $0 loopback, $0 connections, or $0 trace" ;;
  *) refuse "'$1' is not a measurement; see --help" ;;
esac
runs=${2:-5} seconds=${3:-3}
[[ $runs =~ ^[1-9][0-9]*$ ]] || refuse "'$runs' is not a number of runs; write it like 5"
[[ $seconds =~ ^[0-9]*\.?[0-9]+$ ]] || refuse "'$seconds' is not a number of seconds; write it like 3"

median() {
  sort -n "$1" | awk '{ rate[NR] = $1 } END { print NR % 2 ? rate[(NR + 1) / 2] : (rate[NR / 2] + rate[NR / 2 + 1]) / 2 }'
}

if [ "$1" = loopback ]; then
  need_rust
  say "Building tapsock and stock smoltcp"
  STOCK=$(build "$here/../benches/stock-smoltcp" loopback)
  cd "$here/.."
  cargo bench --quiet --locked --no-run --bench loopback
  work=$(mktemp -d)
  trap 'rm -r "$work"' EXIT
  trap 'exit 130' INT TERM
  say "$runs runs of $seconds s, in turns, in GB/s, checksums computed and verified by all:"
  for ((run = 1; run <= runs; run++)); do
    "$STOCK" "$seconds" >>"$work/stock"
    for how in step net; do
      cargo bench --quiet --locked --bench loopback -- $how "$seconds" >>"$work/$how"
    done
    awk -v run="$run" -v stock="$(tail -n 1 "$work/stock")" -v step="$(tail -n 1 "$work/step")" \
      -v net="$(tail -n 1 "$work/net")" \
      'BEGIN { printf "  run %d: stock %.2f, one thread %.2f, three threads %.2f\n", run, stock / 1e9, step / 1e9, net / 1e9 }'
  done
  stock=$(median "$work/stock")
  printf '\n%-36s %6s %6s\n' 'median' GB/s ratio
  awk -v stock="$stock" 'BEGIN { printf "%-36s %6.2f %6.2f\n", "smoltcp alone, one thread", stock / 1e9, 1 }'
  for how in step net; do
    awk -v how=$how -v ours="$(median "$work/$how")" -v stock="$stock" \
      'BEGIN { printf "%-36s %6.2f %6.2f\n", how == "step" ? "tapsock, one thread" : "tapsock, engine and two programs", ours / 1e9, ours / stock }'
  done
  exit
fi

# path OUTPUT: builds what runs the data path in virtual time, and copies it there: builds share a directory.
path() {
  local said
  said=$(cargo bench --locked --no-run --bench connections 2>&1) || {
    printf '%s\n' "$said" >&2
    fail "the benches do not build"
  }
  said=${said##*Executable*(}
  cp "${said%%)*}" "$1"
}

# instructions PROGRAM WAY ROUNDS: how many it executes in the stack and in what stands for the program.
instructions() {
  local said
  said=$(RUST_BACKTRACE=0 timeout 600 valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*step_after*' --callgrind-out-file=/dev/null \
    "$1" path "$2" "$3" 2>&1) || {
    printf '%s\n' "$said" >&2
    fail "callgrind cannot run it"
  }
  sed -n 's/^.*Collected *: *\([0-9]*\).*/\1/p' <<<"$said"
}

if [ "$1" = trace ] && ! in_namespace; then
  need valgrind
  need_rust
  cd "$here/.."
  binaries=$(mktemp -d)
  trap 'rm -r "$binaries"' EXIT
  trap 'exit 130' INT TERM
  say "Building the data path, as it is and without what tells"
  TAPSOCK_MUTE=1 path "$binaries/mute"
  path "$binaries/whole"
  say "Instructions of the stack, nobody watching, beside a build that can tell nothing:"
  printf '\n%-44s %12s %12s %8s\n' "for each connection and round" mute whole more
  for way in "exchange 100 bytes in, 100 bytes out" "receive a full segment in" "send 16 KiB out" \
    "connect it comes, a byte each way, it goes"; do
    rounds=100
    [ "${way%% *}" != connect ] || rounds=10
    mute=$(instructions "$binaries/mute" "${way%% *}" $rounds)
    whole=$(instructions "$binaries/whole" "${way%% *}" $rounds)
    awk -v way="${way%% *}: ${way#* }" -v mute="$mute" -v whole="$whole" -v each=$((rounds * 64)) \
      'BEGIN { printf "%-44s %12.0f %12.0f %6.2f %%\n", way, mute / each, whole / each, (whole / mute - 1) * 100 }'
  done
  rm -r "$binaries"
  trap - EXIT INT TERM
  echo
fi

if ! in_namespace; then
  need ip unshare
  need_rust
  say "Building tapsock and stock smoltcp"
  TAPSOCK=$(build "$here/.." tapsock)
  STOCK=$(build "$here/../benches/stock-smoltcp" stock)
  export TAPSOCK STOCK
  # shellcheck disable=SC2034 # enter_namespace says it
  AS_ROOT="sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" $script $*"
  enter_namespace "$script" "$@"
fi

work=$(mktemp -d)
servers=()
clean_up() {
  [ ${#servers[@]} = 0 ] || kill -KILL "${servers[@]}" 2>/dev/null || true
  rm -r "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

"$here/tap-up.sh" >/dev/null
# serve NAME COMMAND…: in the background, until it says that it is ready.
serve() {
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>"$work/$name.log" &
  servers+=($!)
  disown # no word about its end
  for _ in {1..200}; do
    ! grep -qsx ready "$work/$name.out" || return 0
    sleep 0.05
  done
  tail -n 20 "$work/$name.log" >&2
  fail "$name did not become ready"
}
serve tapsock env -u RUST_LOG "$TAPSOCK" daemon --services discard,chargen

if [ "$1" = trace ]; then
  # of NAME: a figure of the daemon's.
  of() { "$TAPSOCK" stats --json | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
  declare -A port=([send]=9 [receive]=19)
  say "$runs runs of $seconds s, in turns, in Gb/s:"
  for ((run = 1; run <= runs; run++)); do
    for direction in send receive; do
      for how in alone watched; do
        watcher=
        if [ $how = watched ]; then
          "$TAPSOCK" trace --depth frame -w "$work/frames.pcapng" >"$work/trace" 2>&1 &
          watcher=$!
          for _ in {1..100}; do
            [ "$(of watchers)" != 1 ] || break
            sleep 0.05
          done
          frames=$(($(of frames_in) + $(of frames_out))) lost=$(of untold)
        fi
        rate=$("${STOCK%/*}/stream" $direction "192.168.69.1:${port[$direction]}" "$seconds") || {
          tail -n 20 "$work/tapsock.log" >&2
          fail "the stream broke"
        }
        note=
        if [ $how = watched ]; then
          frames=$(($(of frames_in) + $(of frames_out) - frames)) lost=$(($(of untold) - lost))
          kill "$watcher"
          wait "$watcher" || fail "$(cat "$work/trace")"
          note="$frames frames; $lost records dropped for the watcher"
          rm "$work/frames.pcapng"
        fi
        echo "$rate" >>"$work/$direction.$how"
        awk -v what="run $run: host ${direction}s, $how" -v rate="$rate" -v note="$note" \
          'BEGIN { printf "  %-36s %6.2f  %s\n", what, rate * 8 / 1e9, note }'
      done
    done
  done
  printf '\n%-16s %10s %10s %8s\n' 'median, Gb/s' alone watched ratio
  for direction in send receive; do
    awk -v what="host ${direction}s" -v alone="$(median "$work/$direction.alone")" \
      -v watched="$(median "$work/$direction.watched")" \
      'BEGIN { printf "%-16s %10.2f %10.2f %8.2f\n", what, alone * 8 / 1e9, watched * 8 / 1e9, watched / alone }'
  done
  exit
fi

"$here/tap-up.sh" --name tap1 --host4 192.168.70.100/24 --host6 none >/dev/null
serve stock "$STOCK" tap1 192.168.70.1/24

# The host sends to discard (9) and receives from chargen (19).
declare -A address=([tapsock]=192.168.69.1 [stock]=192.168.70.1) port=([send]=9 [receive]=19)
say "$runs runs of $seconds s, in turns, in Gb/s:"
order=(tapsock stock)
for ((run = 1; run <= runs; run++)); do
  for direction in send receive; do
    for who in "${order[@]}"; do
      rate=$("${STOCK%/*}/stream" $direction "${address[$who]}:${port[$direction]}" "$seconds") || {
        tail -n 20 "$work/$who.log" >&2
        fail "the stream to $who broke"
      }
      echo "$rate" >>"$work/$direction.$who"
      awk -v what="run $run: host ${direction}s, $who" -v rate="$rate" 'BEGIN { printf "  %-36s %6.2f\n", what, rate * 8 / 1e9 }'
    done
  done
  order=("${order[1]}" "${order[0]}") # neither always goes first
done

printf '\n%-16s %10s %10s %8s\n' 'median, Gb/s' tapsock stock ratio
for direction in send receive; do
  awk -v what="host ${direction}s" -v ours="$(median "$work/$direction.tapsock")" -v stock="$(median "$work/$direction.stock")" \
    'BEGIN { printf "%-16s %10.2f %10.2f %8.2f\n", what, ours * 8 / 1e9, stock * 8 / 1e9, ours / stock }'
done
