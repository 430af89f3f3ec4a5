# shellcheck shell=bash
# What a script says to a person.

say() { printf '%s\n' "$*"; }

# A person's mistake, or something only a person can give: one sentence, exit code 2.
refuse() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 2
}

# Something went wrong that should not: exit code 1.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The comment at the top of the calling script is its help.
help() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
  exit 0
}
