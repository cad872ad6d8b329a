#!/bin/sh
# prints.sh PROGRAM FILE: the program prints the file, succeeds, and says nothing on its standard error.
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"$1" >"$work/printed" 2>"$work/errors" || { cat "$work/errors"; exit 1; }
diff "$2" "$work/printed" && diff /dev/null "$work/errors"
