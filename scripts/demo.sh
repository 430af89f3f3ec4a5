#!/usr/bin/env bash
# Shows tapsock at work: builds it, makes a private network with a TAP, starts the daemon, pings and curls it
# from the host's side, and prints what the daemon explained about one ping and one TCP connection.
#
#   ./scripts/demo.sh [--bin FILE]
#
#   --bin FILE   show this tapsock instead of building one
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

lab "ping curl" build_tapsock "$@"

title "A private network: the kernel's end of a cable, tap0"
"$here/tap-up.sh"

title "The other end: tapsock daemon -vvv"
start_daemon -vvv
say "It says: $(cat "$work/out"). It has 192.168.69.1 and fd69::1, and the kernel knows nothing of them."

title "The host pings it"
for address in 192.168.69.1 fd69::1; do
  ping -c 3 -i 0.2 -W 2 "$address" >"$work/ping" || true
  cat "$work/ping"
  grep -q ' 0% packet loss' "$work/ping" || broken "the ping of $address lost packets"
done

title "The host curls it; the page is about the connection that carries it"
for host in 192.168.69.1 '[fd69::1]'; do
  say "curl http://$host/"
  curl --globoff --no-progress-meter --fail --noproxy '*' --max-time 10 "http://$host/" >"$work/page" ||
    broken "curl did not get http://$host/"
  [ -s "$work/page" ] || broken "the page of http://$host/ is empty"
  cat "$work/page"
  say
done

title "What the daemon saw of one ping: the request and the reply"
awk -v want=echo -v only=debug -v limit=2 -f "$here/lib/trace.awk" "$work/log" >"$work/ping"
cat "$work/ping"
for word in request reply; do
  grep -q $word "$work/ping" || broken "the log does not explain the $word of a ping"
done

title "What it saw of one TCP connection, from SYN to the last ACK"
# The line that says who was accepted names the socket and the two ends of the connection.
accepted=$(grep -m 1 '192\.168\.69\.1:80 .*accepted' "$work/log") || broken "the log does not name an accepted connection"
id=$(grep -o 'tcp#[0-9]*' <<<"$accepted" | head -n 1)
peer=$(grep -o '192\.168\.69\.100:[0-9]*' <<<"$accepted" | head -n 1)
await 3 grep -q "$id closed" "$work/log" || broken "the log does not say how $id ended"
# The SYN came before the socket was: the peer's end finds it.
awk -v want="$id|$peer" -f "$here/lib/trace.awk" "$work/log" >"$work/connection"
cat "$work/connection"
grep -q '\[S\]' "$work/connection" || broken "the trace of $id has no SYN"
grep -q '\[[^]]*F' "$work/connection" || broken "the trace of $id has no FIN"

title "The end"
lines=$(wc -l <"$work/log")
end_daemon
tail -n "+$((lines + 1))" "$work/log"
say "The daemon is gone, and the private network goes with this script."
