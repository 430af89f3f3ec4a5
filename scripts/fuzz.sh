#!/usr/bin/env bash
# Gives the stack hostile traffic for a while, with every check on. See fuzz/README.md.
#
#   ./scripts/fuzz.sh [--seed N] MINUTES [TARGET]
#
#   MINUTES    how long, such as 20 or 0.5
#   TARGET     frames: raw frames; structured: actions that reach deep. Default: both at once
#   --seed N   the same inputs again, with the same corpus: what was found is found again. Default: chance
#
# Prints how many inputs were run and what was found. Ends with 0 if nothing was, with 1 if something was: its input
# stays in fuzz/artifacts/. What was learned stays in fuzz/corpus/ for the next time; git sees neither.

set -euo pipefail
script=$(realpath "${BASH_SOURCE[0]}")
here=${script%/*}
# shellcheck source-path=SCRIPTDIR source=lib/sentence.sh
. "$here/lib/sentence.sh"
# shellcheck source-path=SCRIPTDIR source=lib/packages.sh
. "$here/lib/packages.sh"
# shellcheck source-path=SCRIPTDIR source=lib/rust.sh
. "$here/lib/rust.sh"

seed=0 # libFuzzer's word for chance
if [ "${1:-}" = --seed ]; then
  [[ ${2:-} =~ ^[1-9][0-9]{0,8}$ ]] || refuse "'${2:-}' is not a seed; write a number such as: --seed 7"
  seed=$2
  shift 2
fi
case ${1:-} in
  -h | --help) help ;;
  '') refuse "say how many minutes: $0 20" ;;
esac
minutes=$1
[[ $minutes =~ ^[0-9]*\.?[0-9]+$ ]] || refuse "'$minutes' is not a number of minutes; write it like 20"
seconds=$(awk -v minutes="$minutes" 'BEGIN { printf "%d", minutes * 60 + 0.5 }')
[ "$seconds" -gt 0 ] || refuse "'$minutes' minutes are less than a second; write it like 20"
targets=(frames structured)
case ${2:-} in
  '') ;;
  frames | structured) targets=("$2") ;;
  *) refuse "'$2' is not a target; there are: ${targets[*]}" ;;
esac
[ $# -le 2 ] || refuse "'$3' is one argument too many; see --help"

need_rust
need c++
cargo fuzz --version >/dev/null 2>&1 || {
  say "Installing cargo-fuzz"
  cargo install --quiet --locked cargo-fuzz || refuse "cargo-fuzz cannot be installed; run: cargo install --locked cargo-fuzz"
}
cd "$here/.."
# No sanitizer: those need a nightly toolchain, and the stack has `unsafe` only where it calls the system. Debug
# assertions and overflow checks are on.
flags=(--sanitizer none --release --debug-assertions)
say "Building"
cargo fuzz build "${flags[@]}" 2>&1 | { grep -E '^(error|warning: unused)' -A 8 || true; }
[ "${PIPESTATUS[0]}" = 0 ] || fail "the fuzz targets do not build; see above"
binaries=$(cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 --no-deps --locked)
binaries=${binaries##*\"target_directory\":\"}
binaries=${binaries%%\"*}/$(rustc -vV | sed -n 's/^host: //p')/release

work=$(mktemp -d)
running=()
clean_up() {
  [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
  rm -r "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
# The allocator must not give memory back after each input: that would be half of the time.
export MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=268435456
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  "$binaries/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -artifact_prefix="fuzz/artifacts/$target/" \
    -seed="$seed" -max_total_time="$seconds" -max_len=4096 -len_control=30 -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 >"$work/$target" 2>&1 &
  running+=($!)
done
say "Fuzzing ${targets[*]} for $seconds s"

found=0
for i in "${!targets[@]}"; do
  target=${targets[i]} code=0
  wait "${running[i]}" || code=$?
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$work/$target")
  coverage=$(grep -o 'cov: [0-9]*' "$work/$target" | tail -n 1)
  if [ $code = 0 ]; then
    say "$target: ${executions:-0} executions, ${rate:-0} a second, ${coverage:-no coverage}: nothing found"
    continue
  fi
  found=1
  artifact=$(sed -n 's/.*Test unit written to //p' "$work/$target" | tail -n 1)
  say "$target: a rule was broken, after $(grep -c . "$work/$target") lines of progress:"
  grep -E -A 1 'panicked at|libFuzzer: (timeout|out-of-memory)|SUMMARY' "$work/$target" | sed 's/^/  /'
  [ -n "$artifact" ] || { tail -n 20 "$work/$target" | sed 's/^/  /'; continue; }
  say "  See it again, with the trace:  FUZZ_TRACE=1 $binaries/$target $artifact"
  say "  Make it smaller:               cargo fuzz tmin ${flags[*]} $target $artifact"
  say "  Then write a test in src/stack/tests/regressions.rs, named after what broke."
done
running=()
[ $found = 0 ] || fail "something was found; see above"
