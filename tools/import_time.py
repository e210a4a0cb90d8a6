"""Hold `import nnfast` against `import numpy`: it must not take half as long again.

Each import runs in an interpreter of its own, in turn with the others, and the median of the
turns' ratios counts: what disturbs a machine for seconds disturbs all of a turn, while the fastest
of each import may come from different moments. Exit code 1 if the bound is missed.
"""

import statistics
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
    ratio = statistics.median((nnfast - start) / (numpy - start) for start, numpy, nnfast in turns)
    numpy_ms = 1e3 * statistics.median(numpy - start for start, numpy, _ in turns)
    print(f"import numpy {numpy_ms:.0f} ms, import nnfast {ratio:.2f} times as long, bound {BOUND}")
    return int(ratio > BOUND)


if __name__ == "__main__":
    sys.exit(main())
