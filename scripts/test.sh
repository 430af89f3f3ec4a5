#!/usr/bin/env bash
# Runs all that CI runs, and installs what it needs. Stops at the first failure.
#
#   ./scripts/test.sh

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/sentence.sh
. "$here/lib/sentence.sh"
# shellcheck source-path=SCRIPTDIR source=lib/packages.sh
. "$here/lib/packages.sh"
# shellcheck source-path=SCRIPTDIR source=lib/rust.sh
. "$here/lib/rust.sh"
# shellcheck source-path=SCRIPTDIR source=lib/namespace.sh
. "$here/lib/namespace.sh"
case ${1:-} in
  '') ;;
  -h | --help) help ;;
  *) refuse "'$1' is not an option; see --help" ;;
esac
cd "$here/.."
exec </dev/null
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# step WHAT COMMAND…
step() {
  local what=$1 begin=$SECONDS
  shift
  printf '\n━━ %s\n' "$what"
  "$@" || fail "$what: failed"
  printf '━━ %s: %d s\n' "$what" $((SECONDS - begin))
}

prepare() {
  need ip nft ping arping dnsmasq curl nc nmap tshark unshare setpriv shellcheck
  need_rust
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    rustup component add rustfmt clippy ||
    refuse "cargo fmt or cargo clippy is missing; run: rustup component add rustfmt clippy"
}

# Every test is really run: none may be set aside.
tests() {
  local log code=0
  log=$(mktemp)
  # Every loss test moves as much as its report is about; by hand they move less.
  TAPSOCK_LOSS_MIB=10 cargo test --locked --all-features 2>&1 | tee "$log" || code=$?
  if [ $code = 0 ] && grep -q ' [1-9][0-9]* ignored' "$log"; then
    say "Some tests were ignored."
    code=1
  fi
  rm "$log"
  return $code
}

# For root: the demo as a user who can read nothing but a copy of it.
demo_as_ordinary_user() {
  local home tapsock code=0
  tapsock=$(build . tapsock) || return
  home=$(mktemp -d)
  cp -r scripts "$tapsock" "$home"
  chmod -R a+rX "$home"
  as_ordinary_user "$home" ./scripts/demo.sh --bin ./tapsock || code=$?
  rm -r "$home"
  return $code
}

# A package of its own, so that cargo does not mix the features of the two smoltcps.
stock() {
  cargo fmt --manifest-path benches/stock-smoltcp/Cargo.toml --check &&
    cargo clippy --manifest-path benches/stock-smoltcp/Cargo.toml --locked --all-targets -- -D warnings
}

# A package of its own as well; both targets run for a minute, side by side. The seed makes that the same minute for
# everybody: to look for what is new is what scripts/fuzz.sh is for.
fuzz() {
  cargo fmt --manifest-path fuzz/Cargo.toml --check &&
    cargo clippy --manifest-path fuzz/Cargo.toml --locked --all-targets -- -D warnings &&
    ./scripts/fuzz.sh --seed 1 1
}

# Another package of its own. The soak itself takes minutes: scripts/soak.sh.
soak() {
  cargo fmt --manifest-path soak/Cargo.toml --check &&
    cargo clippy --manifest-path soak/Cargo.toml --locked --all-targets -- -D warnings
}

step "Tools and packages" prepare
step "Format" cargo fmt --check
step "Lints" cargo clippy --locked --all-features --all-targets -- -D warnings
step "Documentation" env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --all-features
step "Shell scripts" shellcheck -x .ci/run scripts/*.sh scripts/lib/*.sh
step "Tests" tests
step "Stock smoltcp, to measure against" stock
step "Hostile traffic" fuzz
step "The soak, without running it" soak
if [ "$(id -u)" = 0 ]; then
  step "Demo as root" ./scripts/demo.sh
  step "Demo as an ordinary user" demo_as_ordinary_user
else
  step "Demo as an ordinary user" ./scripts/demo.sh
  printf '\n━━ The demo as root was left out: this user is not root.\n'
fi
printf '\nAll is well, after %d s.\n' $SECONDS
