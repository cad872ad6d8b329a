#!/bin/sh
# example.sh CC HEADER LIBRARY_FOLDER: the program in the comment at the top of the header compiles, and runs on memory
# storage when nothing but the storage is changed.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
sed -n '/The simple path/,/^ \*\/$/ s/^ \*   //p' "$2" >"$work/example.c"
flags="-std=c99 -Wall -Wextra -Werror -pedantic -I$(dirname "$2") -L$3 -Wl,-rpath,$3"
# shellcheck disable=SC2086
"$1" $flags "$work/example.c" -o "$work/example" -ltidegate
sed -e 's/"bootstrap.servers"/"storage"/' -e 's/"localhost:9092"/"memory"/' "$work/example.c" >"$work/local.c"
# shellcheck disable=SC2086
"$1" $flags "$work/local.c" -o "$work/local" -ltidegate
[ "$("$work/local")" = go ]
