# shellcheck shell=bash
# The Rust toolchain, and what it builds. Source sentence.sh and packages.sh first.

# Rust comes from rustup, which is the person's own choice to install. tun-tap has a C file.
need_rust() {
  need cc
  command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  command -v cargo >/dev/null || refuse "there is no Rust toolchain; install one as https://rustup.rs says"
}

# build PACKAGE-DIRECTORY BINARY: builds it for release and prints where it is.
build() {
  local target
  (cd "$1" && cargo build --release --locked --quiet) || fail "$2 does not build; see above"
  # Ask cargo, because the target directory is the person's own choice.
  target=$(cd "$1" && cargo metadata --format-version 1 --no-deps --locked) || fail "cargo does not know the package in $1"
  target=${target##*\"target_directory\":\"}
  echo "${target%%\"*}/release/$2"
}
