"""Says which program is tested, and stops early if it is not there."""

import pytest
from harness import WINDROW


def pytest_report_header() -> str:
    return f"windrow: {WINDROW}"


def pytest_sessionstart() -> None:
    if not WINDROW.is_file():
        pytest.exit(f"{WINDROW} is not there: cargo build, or set WINDROW", returncode=1)
