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

step "clippy"
cargo clippy --all-targets --all-features -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

step "tests"
cargo test --all-features

for example in examples/*.rs examples/*/main.rs; do
    [ -e "$example" ] || continue
    name=${example#examples/}
    name=${name%/main.rs}
    name=${name%.rs}
    step "example $name"
    cargo run --quiet --all-features --example "$name"
done

step "Python environment"
make_venv "$target/venv" tests/requirements.txt

step "foreign readers"
cargo build --all-features
"$target/venv/bin/python" -m pytest -q -p no:cacheprovider tests/foreign

bash python/run_tests.sh

printf '\nAll tests passed.\n'
