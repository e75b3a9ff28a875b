"""How long `harness --help` and `harness list ...` take beyond the interpreter's own start (target: 0.3 s).

python perf/startup.py [--runs 7]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(code: str, runs: int) -> float:
    """Median wall seconds of `python -c code`."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    bare = seconds("pass", args.runs)
    print(f"python -c pass       {bare:.3f} s")
    for command in (["--help"], *(["list", w] for w in ("methods", "benches", "models", "backends", "recipes", "runs"))):
        code = f"import sys; sys.argv = ['harness', *{command!r}]\nfrom harness.cli import main\nmain()"
        print(f"harness {' '.join(command):13} {seconds(code, args.runs) - bare:+.3f} s")


if __name__ == "__main__":
    main()
