# shellcheck shell=bash
# A network of one's own, so that nothing here touches the machine's. Source sentence.sh first.
#
# Root makes a network and a mount namespace. An ordinary user makes a user namespace around them, in which
# it is root; that needs no right except to open /dev/net/tun, whose mode counts in there as it does outside.

# Whether this process runs in a namespace that enter_namespace made.
in_namespace() {
  [ -n "${TAPSOCK_OUTER_NET:-}" ] && [ "$(readlink /proc/self/ns/net)" != "$TAPSOCK_OUTER_NET" ]
}

# enter_namespace COMMAND…: becomes COMMAND, in a fresh namespace with nothing but lo and an empty /run.
# AS_ROOT is the command that a person can give where the system forbids it.
enter_namespace() {
  PATH=$PATH:/usr/sbin:/sbin
  local why kind=(--net --mount)
  [ "$(id -u)" = 0 ] || kind=(--user --map-root-user "${kind[@]}")

  if ! why=$(unshare "${kind[@]}" mount -t tmpfs tmpfs /run 2>&1); then
    [ "$(id -u)" = 0 ] && refuse "root may not make namespaces here ($why); a container needs to be a privileged one"
    refuse "this system forbids private networks to ordinary users; run: ${AS_ROOT:-sudo $0}"
  fi
  [ -e /dev/net/tun ] ||
    refuse "there is no /dev/net/tun; run: sudo modprobe tun (a container needs --device /dev/net/tun)"
  if ! (exec 3<>/dev/net/tun) 2>/dev/null; then
    [ "$(id -u)" = 0 ] && refuse "not even root may open /dev/net/tun; a container needs --device /dev/net/tun"
    refuse "only root may open /dev/net/tun here; run: sudo chmod 0666 /dev/net/tun (the usual mode), or ${AS_ROOT:-sudo $0}"
  fi

  TAPSOCK_OUTER_NET=$(readlink /proc/self/ns/net)
  export TAPSOCK_OUTER_NET
  # shellcheck disable=SC2016 # the inner shell expands it
  exec unshare "${kind[@]}" sh -c 'mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && exec "$@"' sh "$@"
}

# as_ordinary_user DIRECTORY COMMAND…: for root: runs COMMAND as a user without any privilege (65534, nobody),
# where DIRECTORY is its home and /dev/net/tun has the usual mode. The machine's own node stays as it is: a
# private one covers it, on a file system of its own because /tmp may forbid device nodes.
as_ordinary_user() {
  local directory=$1
  shift
  # shellcheck disable=SC2016
  unshare --mount sh -c '
    mount -t tmpfs -o mode=755 tmpfs /run && mknod -m 0666 /run/tun c 10 200 && chmod 0666 /run/tun &&
    mount --bind /run/tun /dev/net/tun && cd "$1" && shift &&
    exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all "$@"
  ' sh "$directory" env HOME="$directory" "$@"
}
