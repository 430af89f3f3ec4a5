# Prints parts of a daemon's log, for scripts/demo.sh.
#
#   awk -v want='a|b' [-v only=debug] [-v limit=2] -f trace.awk LOG
#
# A record begins with a time and a level, and its continuation lines have neither. What follows a record at
# level trace explains it, so both are printed together: every record one of whose words contains one of the
# strings of `want` (a socket's id, an end of a connection), at level `only` if that is given, at most `limit`.

BEGIN { wanted = split(tolower(want), string, "|") }

# Whether the line has the string with nothing after it that would make it another one (tcp#3, tcp#31).
function has(line, string,    at, rest) {
    rest = line
    while ((at = index(rest, string)) > 0) {
        rest = substr(rest, at + length(string))
        if (rest !~ /^[0-9]/) return 1
    }
    return 0
}

/^ *\[?[0-9]+[.0-9]*s?\]? +(error|warn|info|debug|trace)/ || /^(error|warn|info|debug|trace) / {
    line = tolower($0)
    match(line, /error|warn|info|debug|trace/)
    level = substr(line, RSTART, RLENGTH)
    if (level != "trace") {
        chosen = 0
        if (!only || level == only)
            for (i = 1; i <= wanted; i++) if (has(line, string[i])) chosen = 1
        if (chosen && limit && ++count > limit) exit
    }
}

chosen
