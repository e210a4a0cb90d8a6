"""Hold `import nnfast` against `import numpy`: it must not take half as long again.

A ratio of times taken in turn, each import in an interpreter of its own; the fastest of each
counts, as the others were disturbed. Exit code 1 if the bound is missed.
"""

import subprocess
import sys
import tempfile
import time

TURNS = 15
BOUND = 1.5


def seconds(code: str, folder: str) -> float:
    """Time an interpreter that runs `code` in a folder without packages."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return time.perf_counter() - start


def main() -> int:
    """Measure and judge."""
    with tempfile.TemporaryDirectory() as folder:
        turns = [
            [seconds(code, folder) for code in ("pass", "import numpy", "import nnfast")]
            for _ in range(TURNS)
        ]
    start, numpy, nnfast = (min(times) for times in zip(*turns, strict=True))
    ratio = (nnfast - start) / (numpy - start)
    print(
        f"import numpy {1e3 * (numpy - start):.0f} ms, import nnfast "
        f"{1e3 * (nnfast - numpy):.0f} ms more: {ratio:.2f} times as long, bound {BOUND}"
    )
    return int(ratio > BOUND)


if __name__ == "__main__":
    sys.exit(main())
