"""Whether a change of the code changed a number: the same runs before and after it, file by file.

    python tests/robustness/same_numbers.py bccd222              # P2O and GRPO on the testbed, two seeds, then a table
    python tests/robustness/same_numbers.py HEAD~3 --method gepa --seeds 0 --more "--set train.epochs=2"

Builds the revision's wheel and the working tree's, runs each in turn, and compares every sample file and every final
weight file byte for byte, and every ledger entry for entry (seconds apart, which no two runs share). Exit code 1 where
anything differs. Both must run with the packages of this environment. Takes some five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = "import sys, harness; assert harness.__file__.startswith(sys.argv.pop(1)); from harness.cli import main; main()"


def install(revision: str | None, site: Path) -> None:
    """The wheel of a revision, or of the working tree (None), unpacked into `site`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        if revision:
            packed = subprocess.run(["git", "-C", ROOT, "archive", revision], check=True, capture_output=True).stdout
        else:  # a copy: a build leaves a folder of its own behind, of which later ones would take up what is stale
            names = subprocess.run(
                ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True
            )
            there = b"".join(n + b"\n" for n in names.stdout.split(b"\n") if n and (ROOT / n.decode()).exists())
            packed = subprocess.run(["tar", "-c", "-C", ROOT, "-T", "-"], check=True, input=there, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", source], check=True, input=packed)
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
        built = Path(folder) / "wheel"
        subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", built, source], check=True)
        subprocess.run([*pip, "install", "--no-deps", "--target", site, *built.glob("*.whl")], check=True)


def run(site: Path, out: Path, method: str, seeds: str, more: list[str]) -> None:
    """One `harness run` of the code in `site`."""
    words = ["run", "--recipe", "testbed", "--method", method, "--bench", "id,ood", "--seeds", seeds, "--out", str(out), *more]
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(site), *words], check=True, env=env, cwd=site, stdout=subprocess.DEVNULL
    )


def numbers(run_dir: Path) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of every number that a run leaves: samples and final weights as they are, ledgers by entry."""
    for pattern in ("samples/*.jsonl", "ckpt/s*/final/*.safetensors"):
        for path in sorted(run_dir.glob(pattern)):
            yield str(path.relative_to(run_dir)), sha256(path.read_bytes()).hexdigest()
    for seed, ledger in sorted(json.loads((run_dir / "ledger.json").read_text())["seeds"].items()):
        # What is 0 may be an entry that the older code does not have.
        entries = {name: value for name, value in ledger.items() if value and name != "wall_seconds"}
        yield f"ledger of seed {seed}", sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="what the working tree is held against")
    parser.add_argument("--method", action="append", help="may be repeated; by default p2o and grpo")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--more", default="", help="further words of `harness run`, e.g. --recipe skills; without, testbed")
    parser.add_argument("--out", type=Path, help="keep the runs in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = (args.out or Path(folder)).resolve()
        found: dict[str, dict[str, str]] = {}
        for side, revision in (("before", args.revision), ("after", None)):
            install(revision, root / side / "site")
            for method in args.method or ("p2o", "grpo"):
                out = root / side / method
                run(root / side / "site", out, method, args.seeds, shlex.split(args.more))
                found.setdefault(side, {}).update((f"{method}/{name}", digest) for name, digest in numbers(out))
    different = 0
    for name in sorted(found["before"] | found["after"]):
        before, after = (found[side].get(name, "missing") for side in ("before", "after"))
        different += before != after
        print(f"{name:<50} {before[:16]}  {'the same' if before == after else after[:16]}")
    print(f"{len(found['before'])} files and ledgers of {args.revision}; {different} differ")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
