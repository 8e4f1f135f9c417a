"""Forks, threads, exits, garbage in any order, consumers that throw: round after round without a crash.

`WINDROW_ROUNDS=1000 python -m pytest tests/test_rounds.py` takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = int(os.environ.get("WINDROW_ROUNDS", "50"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="rounds are forks")
@pytest.mark.parametrize("first", range(0, ROUNDS, 50))
def test_rounds(first: int) -> None:
    count = min(50, ROUNDS - first)
    command = [sys.executable, str(Path(__file__).with_name("rounds.py")), str(count), str(first)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert run.stdout.startswith(f"{count} of {count} rounds ended well")
