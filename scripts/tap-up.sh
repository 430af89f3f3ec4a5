#!/usr/bin/env bash
# Makes the TAP interface that the tapsock daemon attaches to. Run it as root; a second time changes nothing.
#
#   sudo ./scripts/tap-up.sh [--name tap0] [--host4 192.168.69.100/24] [--host6 fd69::100/64]
#                            [--user USER] [--masquerade]
#
#   --name NAME     the interface (tap0)
#   --host4 CIDR    the host's own IPv4 address on it (192.168.69.100/24), or none
#   --host6 CIDR    the host's own IPv6 address on it (fd69::100/64), or none
#   --user USER     let this user run the daemon without root
#   --masquerade    let the stack reach beyond the host: turn on forwarding, and hide the stack behind the
#                   host's addresses (nftables; other firewalls of this machine still have their say)
#
# Everything that is changed is noted in /run/tapsock first, and scripts/tap-down.sh undoes exactly that.

set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/sentence.sh
. "$here/lib/sentence.sh"

name=tap0 host4=192.168.69.100/24 host6=fd69::100/64 user='' masquerade=no
while [ $# -gt 0 ]; do
  case $1 in
    --name | --host4 | --host6 | --user)
      [ $# -ge 2 ] || refuse "$1 needs a value; see --help"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --masquerade) masquerade=yes; shift ;;
    -h | --help) help ;;
    *) refuse "'$1' is not an option; see --help" ;;
  esac
done

[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || refuse "'$name' cannot name an interface; take letters and digits, like tap0"
[ ${#name} -le 15 ] || refuse "'$name' is longer than the 15 letters an interface name may have"
[[ $host4 == none || $host4 =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$ ]] || refuse "'$host4' is not an IPv4 address with a prefix; write it like 192.168.69.100/24"
[[ $host6 == none || $host6 =~ ^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/[0-9]+$ ]] || refuse "'$host6' is not an IPv6 address with a prefix; write it like fd69::100/64"
[ "$(id -u)" = 0 ] || refuse "only root may change the network; run: sudo $0 $*"
command -v ip >/dev/null || refuse "the command ip is missing; run: sudo apt-get install iproute2"
[ $masquerade = no ] || command -v nft >/dev/null || refuse "the command nft is missing; run: sudo apt-get install nftables"
[ -e /dev/net/tun ] || refuse "there is no /dev/net/tun; run: sudo modprobe tun (a container needs --device /dev/net/tun)"
if [ -n "$user" ]; then
  if [[ $user =~ ^[0-9]+$ ]]; then uid=$user; else uid=$(id -u "$user" 2>/dev/null) || refuse "there is no user '$user' here"; fi
fi

# The note of what was changed: a line for each step, written before the step is taken.
notes=${TAPSOCK_STATE_DIR:-/run/tapsock}
note=$notes/tap-up.$name
will() {
  mkdir -p "$notes"
  grep -qsxF -- "$*" "$note" || echo "$*" >>"$note"
}
# A step that fails takes back the earlier ones.
attempt() {
  local why
  why=$("$@" 2>&1) && return
  "$here/tap-down.sh" --name "$name" >/dev/null || true
  refuse "'$*' failed and everything was undone: ${why//$'\n'/ }"
}

# The TAP itself.
if ! link=$(ip -details link show dev "$name" 2>/dev/null); then
  will tap
  attempt ip tuntap add dev "$name" mode tap ${user:+user "$uid"}
  say "Made the TAP $name${user:+, which belongs to $user}."
elif [[ $link != *"tun type tap"* ]]; then
  refuse "$name exists and is not a TAP; choose another --name"
elif [ -n "$user" ]; then
  owner=$(sed -n 's/.* persist on user \([^ ]*\).*/\1/p' <<<"$link")
  if [ "$owner" != "$uid" ] && [ "$(id -u "${owner:-/}" 2>/dev/null)" != "$uid" ]; then
    refuse "$name exists and does not belong to $user; run first: sudo $here/tap-down.sh --name $name"
  fi
fi

# The addresses of the host's side. nodad: no carrier, no duplicate address detection, no address.
for address in "$host4" "$host6"; do
  [ "$address" != none ] || continue
  if [ -z "$(ip address show dev "$name" to "${address%/*}" 2>/dev/null)" ]; then
    will "address $address"
    case $address in
      *:*) attempt ip address add "$address" dev "$name" nodad ;;
      *) attempt ip address add "$address" dev "$name" ;;
    esac
    say "Gave the host's side the address $address."
  fi
done

if ! ip link show dev "$name" | grep -q '[<,]UP[,>]'; then
  will up
  attempt ip link set "$name" up
  say "Set $name up."
fi

# A user other than root must be able to open the device node, which is not so everywhere.
if [ -n "$user" ] && [ "$uid" != 0 ]; then
  group=$(id -g "$uid" 2>/dev/null || echo "$uid")
  groups=(--clear-groups)
  ! id "$uid" >/dev/null 2>&1 || groups=(--init-groups)
  if ! setpriv --reuid "$uid" --regid "$group" "${groups[@]}" sh -c 'test -r /dev/net/tun -a -w /dev/net/tun'; then
    mode=$(stat -c %a /dev/net/tun)
    will "node $mode"
    attempt chmod 0666 /dev/net/tun
    say "Set /dev/net/tun from mode $mode to 0666, the usual one: $user could not open it. Interfaces stay protected by their owner."
  fi
fi

# Reach beyond the host.
set_sysctl() {
  local path=/proc/sys/net/$1 old
  old=$(cat "$path")
  [ "$old" != "$2" ] || return 0
  will "sysctl $1 $old"
  attempt sh -c "echo $2 >$path"
  say "Set net/$1 from $old to $2."
}
if [ $masquerade = yes ]; then
  set_sysctl ipv4/ip_forward 1
  if [ "$host6" != none ] && [ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 0 ]; then
    for path in /proc/sys/net/ipv6/conf/*; do
      each=ipv6/conf/${path##*/}
      [ "${each##*/}" != all ] || continue
      # The switch for all overwrites every interface's own; and a router no longer listens to router
      # advertisements, so that a host which learned its route from one would lose it, unless this is 2.
      [ "$(cat "$path/forwarding")" = 0 ] || will "sysctl $each/forwarding 1"
      [ "$(cat "$path/accept_ra")" != 1 ] || [ "${each##*/}" = "$name" ] || set_sysctl "$each/accept_ra" 2
    done
    set_sysctl ipv6/conf/all/forwarding 1
  fi
  if ! nft list table inet "tapsock-$name" >/dev/null 2>&1; then
    will table
    rules=''
    [ "$host4" = none ] || rules+="ip saddr $host4 oifname != \"$name\" masquerade; "
    [ "$host6" = none ] || rules+="ip6 saddr $host6 oifname != \"$name\" masquerade; "
    attempt nft "table inet tapsock-$name { chain postrouting { type nat hook postrouting priority srcnat; $rules}; }"
    say "Added the nftables table inet tapsock-$name, which masquerades the stack."
  fi
fi

tapsock='tapsock daemon'
[ "$name" = tap0 ] || tapsock+=" --tap $name"
if [ $masquerade = yes ]; then
  for address in "$host4" "$host6"; do
    [ "$address" = none ] || tapsock+=" --gateway ${address%/*}"
  done
fi
say "$name is ready. Next${user:+, as $user}: $tapsock"
