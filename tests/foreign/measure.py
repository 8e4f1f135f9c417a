"""Runs a command under limits, and says how much memory and time it took.

    python -I -S measure.py REPORT ADDRESS_SPACE FILE_SIZE COMMAND...

A limit of 0 is none. REPORT receives "peak_rss_bytes seconds". It is a program of its own because a process inherits
the peak of whoever forked it: measured from the test run itself, everything would seem as large as the test run.
"""

import os
import resource
import signal
import sys
import time


def main() -> None:
    report, address_space, file_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        if address_space:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        if file_size:
            # Without the signal a write past the limit fails with EFBIG, as on a full disk with ENOSPC.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        else:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execv(sys.argv[4], sys.argv[4:])
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    with open(report, "w") as file:
        file.write(f"{usage.ru_maxrss * unit} {time.monotonic() - start}")
    # As a shell does it: 128 + the signal.
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main()
