#!/usr/bin/env bash
# The test command: everything that must hold before a change lands. Needs cargo and python3, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

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

# A Python environment of our own, made anew when its list of packages or the Python changes.
venv=$target/venv
wanted=$({ python3 --version; cat tests/requirements.txt; } | cksum)
if [ "$(cat "$venv/made-from" 2>/dev/null || true)" != "$wanted" ]; then
    step "Python environment"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    echo "$wanted" >"$venv/made-from"
fi

step "foreign readers"
cargo build --all-features
"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/foreign

printf '\nAll tests passed.\n'
