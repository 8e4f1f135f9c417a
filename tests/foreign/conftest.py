"""Says which program is tested, and stops early if it is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from harness import BUCKET, SECRET, WINDROW


def pytest_report_header() -> str:
    return f"windrow: {WINDROW}"


def pytest_sessionstart() -> None:
    if not WINDROW.is_file():
        pytest.exit(f"{WINDROW} is not there: cargo build, or set WINDROW", returncode=1)


@pytest.fixture(scope="module")
def server():
    """A server of S3's language on this machine, with one bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=-3, stderr=-3
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request).read()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait()


@pytest.fixture
def environment(server: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **clean,
        "AWS_ENDPOINT_URL": server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key-of-a-test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
