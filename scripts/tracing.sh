#!/usr/bin/env bash
# Makes every transcript of docs/tracing.md again, in a private network with a TAP.
#
#   ./scripts/tracing.sh [--bin FILE]
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

lab "nc nft curl" build_tapsock "$@"

# shown ARGUMENTS…: tapsock, as a person would type it, with what it says.
shown() {
  printf '$ tapsock %s\n' "$*"
  timeout 20 "$tapsock" "$@" 2>&1 || say "(exit code $?)"
}
# watched ARGUMENTS… -- COMMAND…: what tapsock trace shows while COMMAND runs.
watched() {
  local arguments=() trace
  while [ "$1" != -- ]; do
    arguments+=("$1")
    shift
  done
  shift
  printf '$ tapsock trace %s &\n$ %s\n' "${arguments[*]}" "$*"
  : >"$work/attached" # now, and not when the next line is run: what the one before said must be gone
  timeout 30 "$tapsock" trace "${arguments[@]}" >"$work/trace" 2>>"$work/attached" &
  trace=$!
  await 10 is_watching || broken "tapsock trace does not watch: $(cat "$work/attached")"
  "$@" >"$work/said" 2>&1 || true
  # A connection that has ended goes on for a moment: the last ACK.
  sleep 0.5
  kill -INT $trace
  wait $trace || true
  cat "$work/trace"
}
is_watching() { grep -q watching "$work/attached"; }

"$here/tap-up.sh" >/dev/null
start_daemon --probe 0
# Who is where is not what these pictures are about.
curl -s --noproxy '*' -o /dev/null http://192.168.69.1/ || broken "curl did not get the page"

title "A tree: each call, and what it caused"
watched --tree --port 80 -- curl -s --noproxy '*' http://192.168.69.1/
title "A ladder: the connection between its two ends"
watched --ladder --port 80 -- curl -s --noproxy '*' http://192.168.69.1/

title "Sent again: the fourth data segment is lost on its way, once"
nft add table inet loss
nft add chain inet loss input '{ type filter hook input priority 0; }'
nft add rule inet loss input ip length '>' 1400 tcp sport 80 numgen inc mod 1000 == 3 drop
watched --depth segment --port 80 -- curl -s --noproxy '*' 'http://192.168.69.1/bytes?n=20000' >/dev/null
nft delete table inet loss
say '$ tapsock trace --depth segment --port 80 &'
say "\$ curl -s 'http://192.168.69.1/bytes?n=20000'"
again=$(grep -m 1 'again, first sent as' "$work/trace") || broken "nothing was sent again"
# The first sending, what caused the second one, and the second one.
for number in "$(grep -o 'first sent as @[0-9]*' <<<"$again" | grep -o '@.*')" "$(grep -o '← @[0-9]*' <<<"$again" | grep -o '@.*')"; do
  grep -m 1 " $number " "$work/trace" || broken "$number is not in the trace"
done
say "$again"

title "Why: a port that nobody has"
watched --host 192.168.69.1 --port 81 -- curl -s --noproxy '*' http://192.168.69.1:81/
shown why tcp.rst.closed-port

title "Failed, and why: the peer goes away in the middle"
watched --depth segment --port 19 -- bash -c 'head -c 1000 </dev/tcp/192.168.69.1/19' >/dev/null
say '$ tapsock trace --depth segment --port 19 &'
say "\$ head -c 1000 </dev/tcp/192.168.69.1/19"
line=$(grep -m 1 ' read: E' "$work/trace") || broken "no read has failed"
story=$line
# What caused it, what caused that, and so on.
for _ in 1 2 3 4 5; do
  number=$(grep -o '← @[0-9]*' <<<"$line" | grep -o '@.*') || break
  line=$(grep -m 1 " $number " "$work/trace") || break
  story=$line$'\n'$story
done
say "$story"

title "A file for Wireshark, and one of its packets explained"
cd "$work"
watched -w curl.pcapng --port 80 -- curl -s --noproxy '*' http://192.168.69.1/
shown explain --packet 1 curl.pcapng

title "The sockets"
: >"$work/echoed"
timeout 20 nc 192.168.69.1 7 < <(printf 'hello\n'; sleep 5) >"$work/echoed" &
nc=$!
await 5 grep -q hello "$work/echoed" || broken "nobody echoes"
shown ss -t -a -p
shown ss -t -i dport = "$(grep -o '192\.168\.69\.100:[0-9]* accepted' "$work/log" | tail -n 1 | grep -o ':[0-9]*')"
kill $nc 2>/dev/null || true
wait $nc 2>/dev/null || true

end_daemon
