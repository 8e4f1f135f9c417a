#!/bin/bash
# fuzz/run.sh SECONDS TARGET...: builds the targets and runs each for so long, or all of them. See README.md beside it.
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1
shift
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes, so that a stable compiler does.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cforce-frame-pointers=yes"
export ASAN_OPTIONS="detect_odr_violation=0:detect_leaks=0:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
cargo build --release --target "$host" --bins
bin=${CARGO_TARGET_DIR:-target}/$host/release
if [ $# = 0 ]; then
    for target in fuzz_targets/*.rs; do
        set -- "$@" "$(basename "$target" .rs)"
    done
fi
failed=0
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "== $target"
    "$bin/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -max_len=4096 \
        -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=10 -print_final_stats=1 2>&1 |
        grep -v '^#.*\(REDUCE\|NEW\|pulse\)' || failed=1
done
exit $failed
