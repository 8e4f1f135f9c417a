#!/usr/bin/env bash
# The test command: everything that must hold before a change lands. Needs cargo and python3, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/environment.sh

step() {
    printf '\n== %s\n' "$*"
}

target=${CARGO_TARGET_DIR:-target}

step "format"
cargo fmt --all --check

# All packages at once, always: one without the others has other features of their dependencies, and builds DataFusion
# a second time.
all=(--workspace --all-features)

step "clippy"
cargo clippy "${all[@]}" --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc "${all[@]}" --no-deps

step "tests"
cargo test "${all[@]}"

for example in examples/*.rs examples/*/main.rs; do
    [ -e "$example" ] || continue
    name=${example#examples/}
    name=${name%/main.rs}
    name=${name%.rs}
    step "example $name"
    # The tests have built it.
    "$target/debug/examples/$name"
done

step "Python environment"
make_venv "$target/venv" tests/requirements.txt

step "foreign readers"
cargo build "${all[@]}"
"$target/venv/bin/python" -m pytest -q -p no:cacheprovider tests/foreign

bash python/run_tests.sh

printf '\nAll tests passed.\n'
