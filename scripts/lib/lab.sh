# shellcheck shell=bash
# What the scripts that show tapsock have in common: a tapsock, a private network to run it in, and a daemon. Source
# sentence.sh, packages.sh, rust.sh and namespace.sh first; $script is the script itself, $here its folder.
# shellcheck disable=SC2154 # the script sets those two

daemon=''

# lab PACKAGES BUILD [--bin FILE]: goes on in a private network, with $tapsock and an empty $work. PACKAGES are the
# commands that the script needs, as one word; BUILD is a function that builds what it shows, and says where tapsock is.
lab() {
  local packages=$1 make=$2
  shift 2
  tapsock=''
  while [ $# -gt 0 ]; do
    case $1 in
      --bin)
        if [ $# -lt 2 ] || [ ! -x "$2" ]; then refuse "--bin needs a tapsock that can be run"; fi
        tapsock=$(realpath "$2")
        shift 2
        ;;
      -h | --help) help ;;
      *) refuse "'$1' is not an option; see --help" ;;
    esac
  done

  # Outside: what needs the machine's own network and the person's own rights.
  if ! in_namespace; then
    # shellcheck disable=SC2086 # they are words
    need ip unshare $packages
    if [ -z "$tapsock" ]; then
      need_rust
      say "Building what this script shows"
      tapsock=$("$make")
    fi
    # shellcheck disable=SC2034 # enter_namespace says it
    AS_ROOT="sudo $script --bin $tapsock"
    enter_namespace "$script" --bin "$tapsock"
  fi

  # Inside: nobody else's network.
  work=$(mktemp -d)
  trap clean_up_lab EXIT
  trap 'exit 130' INT TERM
}

clean_up_lab() {
  [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
  rm -r "$work"
}

build_tapsock() { build "$here/.." tapsock; }

title() { printf '\n── %s\n\n' "$*"; }

# broken SENTENCE…: the log says more about a failure than any guess.
broken() {
  [ ! -s "$work/log" ] || { say "The end of the daemon's log:"; tail -n 20 "$work/log"; } >&2
  fail "$*"
}

# await SECONDS COMMAND…: until COMMAND succeeds. It does not if the daemon is gone.
await() {
  local tries=$(($1 * 20))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    kill -0 "$daemon" 2>/dev/null || return 1
    sleep 0.05
  done
}

# start_daemon OPTIONS…: what it says is in $work/out, its log in $work/log.
start_daemon() {
  env -u RUST_LOG "$tapsock" daemon "$@" >"$work/out" 2>"$work/log" &
  daemon=$!
  await 15 grep -qsx ready "$work/out" || broken "the daemon did not become ready"
}

is_gone() { ! kill -0 "$daemon" 2>/dev/null; }

# End it as a person does, and see that it goes well.
end_daemon() {
  local code=0
  kill -INT "$daemon"
  await 10 is_gone || is_gone || broken "the daemon did not end on SIGINT"
  wait "$daemon" || code=$?
  daemon=''
  [ $code = 0 ] || broken "the daemon ended with exit code $code"
}
