#!/usr/bin/env bash
# Runs a daemon under a long mix of honest and hostile traffic, in a private network. See soak/.
#
#   ./scripts/soak.sh MINUTES [--seed N]
#
#   MINUTES    how long the mix lasts, such as 30 or 0.5; warming up and calming down take 3 to 4 minutes more
#   --seed N   the order of things; the same N gives the same order (chosen by the time)
#
# Clients download, upload and echo and check every byte, abort, stop reading, close halves; meanwhile come garbage,
# damaged frames, SYNs of nobody, stray fragments and ICMP errors. Then the daemon must be as it was after the warm-up,
# in memory and descriptors, answer ping and curl over IPv4 and IPv6, have written nothing of a bug, and stop when asked.
# Ends with 0 if all of that is so, else with 1. Root is not needed.

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

minutes='' seed=$(date +%s)
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) help ;;
    --seed)
      [ $# -ge 2 ] || refuse "--seed needs a number"
      seed=$2
      shift 2
      ;;
    -*) refuse "'$1' is not an option; see --help" ;;
    *)
      [ -z "$minutes" ] || refuse "'$1' is one argument too many; see --help"
      minutes=$1
      shift
      ;;
  esac
done
[ -n "$minutes" ] || refuse "say how many minutes: $0 30"
[[ $minutes =~ ^[0-9]*\.?[0-9]+$ ]] || refuse "'$minutes' is not a number of minutes; write it like 30"
[[ $seed =~ ^[0-9]{1,18}$ ]] || refuse "'$seed' is not a seed; write it like 7"
seconds=$(awk -v minutes="$minutes" 'BEGIN { printf "%d", minutes * 60 + 0.5 }')

if ! in_namespace; then
  need ip unshare ping curl
  need_rust
  say "Building tapsock and the soak"
  TAPSOCK=$(build "$here/.." tapsock)
  SOAK=$(build "$here/../soak" tapsock-soak)
  export TAPSOCK SOAK
  # shellcheck disable=SC2034 # enter_namespace says it
  AS_ROOT="sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" $script ${arguments[*]}"
  enter_namespace "$script" "${arguments[@]}" --seed "$seed"
fi

work=$(mktemp -d)
daemon=''
clean_up() {
  [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
  rm -r "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

"$here/tap-up.sh" >/dev/null
RUST_LOG=warn "$TAPSOCK" daemon >"$work/out" 2>"$work/log" &
daemon=$!
for _ in {1..200}; do
  ! grep -qsx ready "$work/out" || break
  sleep 0.05
done
grep -qsx ready "$work/out" || {
  tail -n 20 "$work/log" >&2
  fail "the daemon did not become ready"
}

failed=0
# complain WHAT: and go on, to see all of it.
complain() {
  say "FAILED: $*"
  failed=1
}
say "Seed $seed"
"$SOAK" tap0 "$daemon" "$seconds" "$seed" || complain "the soak; see above"

for address in 192.168.69.1 fd69::1; do
  ping -q -c 3 -i 0.2 -W 2 "$address" >/dev/null || complain "ping $address"
  [[ $address == *:* ]] && host="[$address]" || host=$address
  size=$(curl -gsS --max-time 30 "http://$host/bytes?n=1000000" | wc -c) || complain "curl http://$host/"
  [ "$size" = 1000000 ] || complain "curl http://$host/ gave $size bytes of 1000000"
done
! grep -iE 'panick|a bug in' "$work/log" || complain "the daemon has written of a bug"
code=0
kill -TERM "$daemon" 2>/dev/null || true
wait "$daemon" || code=$?
daemon=''
[ $code = 0 ] || complain "the daemon ended with $code"
if [ -s "$work/log" ]; then
  say "What the daemon wrote:"
  cut -c 1-300 "$work/log" | tail -n 60
fi
[ $failed = 0 ] || fail "not everything was as it must be; the same order again: $0 $minutes --seed $seed"
say "All is well."
