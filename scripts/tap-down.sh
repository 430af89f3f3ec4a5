#!/usr/bin/env bash
# Undoes what scripts/tap-up.sh did, and nothing else. Run it as root; a second time changes nothing.
#
#   sudo ./scripts/tap-down.sh [--name tap0]

set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source-path=SCRIPTDIR source=lib/sentence.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/sentence.sh"

name=tap0
while [ $# -gt 0 ]; do
  case $1 in
    --name)
      [ $# -ge 2 ] || refuse "$1 needs a value; see --help"
      name=$2
      shift 2
      ;;
    -h | --help) help ;;
    *) refuse "'$1' is not an option; see --help" ;;
  esac
done
[ "$(id -u)" = 0 ] || refuse "only root may change the network; run: sudo $0 --name $name"
command -v ip >/dev/null || refuse "the command ip is missing; run: sudo apt-get install iproute2"

note=${TAPSOCK_STATE_DIR:-/run/tapsock}/tap-up.$name
if [[ $name == */* ]] || [ ! -e "$note" ]; then
  say "Nothing to undo: tap-up.sh changed nothing for $name, or tap-down.sh has been here."
  exit 0
fi

there() { ip link show dev "$name" >/dev/null 2>&1; }
# The last step first. What somebody else has removed meanwhile is no error.
tac "$note" | while read -r step what value; do
  case $step in
    tap) ! there || { ip link delete "$name" && say "Removed the TAP $name."; } ;;
    address) ! there || ! ip address delete "$what" dev "$name" 2>/dev/null || say "Removed the address $what." ;;
    up) ! there || { ip link set "$name" down && say "Set $name down."; } ;;
    node) chmod "$what" /dev/net/tun && say "Set /dev/net/tun back to mode $what." ;;
    sysctl) [ ! -e "/proc/sys/net/$what" ] || { echo "$value" >"/proc/sys/net/$what" && say "Set net/$what back to $value."; } ;;
    table) ! nft delete table inet "tapsock-$name" 2>/dev/null || say "Removed the nftables table inet tapsock-$name." ;;
  esac
done
rm "$note"
rmdir --ignore-fail-on-non-empty "$(dirname "$note")"
