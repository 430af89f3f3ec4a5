#!/usr/bin/env bash
# Makes every transcript of docs/what-is-a-socket.md again, in a private network with a TAP.
#
#   ./scripts/what-is-a-socket.sh [--bin FILE]
#
#   --bin FILE   show this tapsock, with the examples beside it in examples/, instead of building them
#
# Root is not needed, and nothing outside the private network is touched.

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
# shellcheck source-path=SCRIPTDIR source=lib/lab.sh
. "$here/lib/lab.sh"

build_with_examples() {
  (cd "$here/.." && cargo build --release --locked --quiet --examples) || fail "the examples do not build; see above"
  build_tapsock
}
lab "nc ping" build_with_examples "$@"

# shown COMMAND…: as a person would type it, with what it says.
shown() {
  printf '$ %s\n' "$*"
  timeout 20 sh -c "$*" 2>&1 || say "(exit code $?)"
}
example() { shown "$(dirname "$tapsock")/examples/$1"; }
tapsock() { shown "$tapsock $*"; }

title "A telephone"
example echo
title "What the first two sockets of the wire saw: the call, and its end"
RUST_LOG=warn,tapsock::packet=debug,tapsock::socket=info timeout 20 "$(dirname "$tapsock")/examples/echo" 2>&1 |
  grep -E 'tcp#|server|client'
title "A letter box"
example udp_talker_listener
title "A radio station"
example multicast_chat

title "A pseudo-file"
"$here/tap-up.sh" >/dev/null
timeout 20 nc -N -l 192.168.69.100 4950 </dev/null >"$work/copy" &
nc=$!
sleep 0.3
tapsock "nc --probe 0 192.168.69.100 4950 <$script"
wait $nc
shown "cmp $script $work/copy && echo the same"

title "Many programs, one network"
start_daemon -vv --probe 0
grep -E 'listens|bound' "$work/log" || true
lines=$(wc -l <"$work/log")
shown "echo hello | nc -N 192.168.69.1 7"
shown "echo hello | nc -u -w 1 192.168.69.1 7"
shown "nc -w 2 192.168.69.1 13"
shown "nc -z -v 192.168.69.1 81"
shown "ping -c 1 192.168.69.1 | head -n 2"
sleep 0.3
tail -n "+$((lines + 1))" "$work/log" | grep -vE ' (arp|icmp6) |ff02::' >"$work/seen"
say "What became of sockets, and each packet:"
grep -E ' (info|warn) | debug +(in|out|lo) ' "$work/seen"
clock=$(grep -oE 'tcp#[0-9]+ 192\.168\.69\.1:13 ' "$work/seen" | head -n 1 | cut -d ' ' -f 1)
say "And what the service at door 13 called meanwhile:"
listener=$(grep -oE "$clock .* accepted by tcp#[0-9]+" "$work/seen" | grep -oE 'tcp#[0-9]+$')
# Neither its packets, nor its states, nor what became of the socket.
grep -E " $clock | $listener accept\$" "$work/seen" | grep -vE ' info | debug +(in|out|lo) |⇒|timer:|can be read'
end_daemon

title "Between two programs of this machine"
tapsock "bench loopback --runs 3 --span 50"
