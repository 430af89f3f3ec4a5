# shellcheck shell=bash
# The Debian packages a script needs. Source sentence.sh first.

# What Debian and Ubuntu call the package of a command.
package_of() {
  case $1 in
    ip) echo iproute2 ;;
    nft) echo nftables ;;
    ping) echo iputils-ping ;;
    arping) echo iputils-arping ;;
    dnsmasq) echo dnsmasq-base ;; # the program alone: dnsmasq would start it as a service
    nc) echo netcat-openbsd ;;
    cc | c++) echo build-essential ;; # the C library's headers too, not the compiler alone
    unshare | setpriv) echo util-linux ;;
    *) echo "$1" ;;
  esac
}

# need COMMAND…: installs the packages of those that are missing, or says how to.
need() {
  PATH=$PATH:/usr/sbin:/sbin # not in an ordinary user's path on Debian, and ip and nft live there
  local command missing=()
  for command; do
    command -v "$command" >/dev/null || missing+=("$(package_of "$command")")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || refuse "these are missing, by Debian's names; install them: ${missing[*]}"

  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
    refuse "packages are missing; run: sudo apt-get install --no-install-recommends ${missing[*]}"
  say "Installing ${missing[*]}"
  if ! "${root[@]}" apt-get -qq update </dev/null || ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --no-install-recommends "${missing[@]}" </dev/null >/dev/null; then
    refuse "apt-get could not install ${missing[*]}; install them by hand"
  fi
}
