#!/usr/bin/env bash
# Everything that must hold for the Python package: built as users build it, judged by its tests and type checkers.
# Needs cargo and python3 (3.10 or newer); makes its own environment below CARGO_TARGET_DIR, or below target.
set -euo pipefail
cd "$(dirname "$0")"

target=${CARGO_TARGET_DIR:-$PWD/target}/python
mkdir -p "$target"
export CARGO_TARGET_DIR=$target

step() {
    printf '\n== python: %s\n' "$*"
}

step "format and clippy"
cargo fmt --check
cargo clippy --quiet -- -D warnings

# Made anew when its list of packages or the Python changes.
venv=$target/venv
wanted=$({ python3 --version; cat tests/requirements.txt; } | cksum)
if [ "$(cat "$venv/made-from" 2>/dev/null || true)" != "$wanted" ]; then
    step "environment"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    echo "$wanted" >"$venv/made-from"
fi

step "build and install"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps .

step "tests"
"$venv/bin/python" -m pytest tests

step "types"
"$venv/bin/python" -m mypy --config-file pyproject.toml python/windrow
"$venv/bin/python" -m mypy.stubtest windrow._windrow --mypy-config-file pyproject.toml
