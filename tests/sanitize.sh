#!/usr/bin/env bash
# The tests of the kernels, of layout columns, of virtual matrices and of lifetimes under AddressSanitizer and
# LeakSanitizer: no byte outside of a buffer is touched, none after its release, and none is left behind. Some minutes
# the first time, since everything is compiled for it.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitize
# So that a stable compiler knows them.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes"
export ASAN_OPTIONS=detect_leaks=1
# A target of its own, so that build scripts are left as they are.
cargo test --target "$host" --no-default-features --features virtual --lib --test judge --test columns \
    --test lifetimes --test virtual_matrix "$@"
