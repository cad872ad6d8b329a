#!/bin/sh
# exports.sh CC HEADER LIBRARY [DECLARATION]: the library exports the functions of the header, and nothing else.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
{ echo "#include \"$2\""; echo "${4-}"; } |
  "$1" -E -P -x c - | grep -oE '\btidegate_[a-z_]+ *\(' | tr -d ' (' | sort -u >"$work/declared"
nm -D --defined-only "$3" | awk '{ print $NF }' | sort -u >"$work/exported"
[ "$(wc -l <"$work/declared")" -ge 25 ] || { echo "only these are declared:"; cat "$work/declared"; exit 1; }
diff "$work/declared" "$work/exported" || { echo "< declared in $2   > exported by $3"; exit 1; }
