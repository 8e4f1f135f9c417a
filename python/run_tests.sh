#!/usr/bin/env bash
# Everything that must hold for the Python package: built as users build it, judged by its tests and type checkers.
# Needs cargo and python3 (3.10 or newer); makes its own environment below CARGO_TARGET_DIR, or below target.
set -euo pipefail
cd "$(dirname "$0")"
source ../tests/environment.sh

# Not the target folder of the root crate: its profiles are other ones.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/python
mkdir -p "$CARGO_TARGET_DIR"

step() {
    printf '\n== python: %s\n' "$*"
}

step "format and clippy"
cargo fmt --check
# In the profile of the build below, which then finds build scripts and macros made.
cargo clippy --quiet --release -- -D warnings

step "environment"
venv=$CARGO_TARGET_DIR/venv
make_venv "$venv" tests/requirements.txt
export PATH=$venv/bin:$PATH

step "build and install"
python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps .

step "tests"
python -m pytest tests

step "types"
python -m mypy --config-file pyproject.toml python/windrow
python -m mypy.stubtest windrow._windrow --mypy-config-file pyproject.toml
