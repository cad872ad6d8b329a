#!/bin/sh
# The library as others get it: installed, its folder moved, found by find_package and by pkg-config, and used.
# installed.sh BUILD_FOLDER [VERSION that is asked for]
set -eu
build=$1 version=${2-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
quietly() { "$@" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }; }
quietly cmake --install "$build" --strip --prefix "$folder/first"
mv "$folder/first" "$folder/moved"

cat > "$folder/program.c" << 'PROGRAM'
#include <tidegate.h>
int main(void) { return tidegate_abi_version() == TIDEGATE_ABI_VERSION ? 0 : 1; }
PROGRAM
cat > "$folder/CMakeLists.txt" << PROJECT
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(tidegate $version CONFIG REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE tidegate::tidegate)
PROJECT
quietly cmake -S "$folder" -B "$folder/build" -DCMAKE_PREFIX_PATH="$folder/moved"
quietly cmake --build "$folder/build"
"$folder/build/program"

pc=$(find "$folder/moved" -name tidegate.pc)
if command -v pkg-config > /dev/null; then
    flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs tidegate)
    # shellcheck disable=SC2086 # several words
    cc "$folder/program.c" $flags -o "$folder/other"
    LD_LIBRARY_PATH=$(dirname "$(dirname "$pc")") "$folder/other"
fi
