"""Coverage-guided fuzzing of what reads the work of others: completions, settings, data, samples, filed runs, answers.

    pip install -e '.[local,test,fuzz]'
    python tests/robustness/fuzz.py [TARGET ...] [--seconds 600] [--keep DIR]

Every target runs in a child process for so many seconds, on atheris with the branches of `harness` as its guide. A
HarnessError is a fine answer to any input; whatever else is raised is a finding, and so is a property that does not hold:
the last box is what a reader of one character at a time finds, a text is equal to itself, what is decided at sight is what
the libraries say, a stored spec or a replayed answer is the same again, a verified run has the figures that it was filed
with. Prints executions, seconds, executions a second, covered edges and findings by target; exit code 1 where there are
findings. --keep holds their inputs and tracebacks, and the corpora, from which a later call goes on. Of what the graders
leave to sympy only plain fractions are tried: all else runs in children with a limit.
The targets are in fuzz_targets.py; tests/smoke/test_fuzz_targets.py tries each on the inputs that it begins with.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TARGETS = ("extraction", "parity", "sight", "config", "claims", "study", "data", "samples", "manifest", "answers")
"""The functions of fuzz_targets.py; named here because that file is imported in the children, instrumented."""


def child(name: str, keep: Path, seconds: int) -> None:
    """Fuzz one target; never returns. A finding is kept once for its kind and place, and the search goes on."""
    import atheris

    sys.path.insert(0, str(TESTS))
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, atheris.instrument_imports(include=["harness"]):
        import fuzz_targets

        target, seeds, words = getattr(fuzz_targets, name)(Path(folder))
        for seed in seeds:
            (keep / "corpus" / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
        escaped = ["".join(f"\\x{b:02x}" for b in word.encode()) for word in words.split()]
        (keep / "words").write_text("".join(f'"{word}"\n' for word in escaped))

        def one(data: bytes) -> None:
            try:
                fuzz_targets.fine(lambda: target(data))
            except Exception as e:
                frames = traceback.extract_tb(e.__traceback__)
                at = ([f for f in frames if "/harness/" in f.filename] or frames)[-1]
                path = keep / f"finding-{type(e).__name__}-{Path(at.filename).stem}-{at.lineno}"
                if not path.exists():
                    path.write_bytes(data)
                    path.with_suffix(".txt").write_text(traceback.format_exc(), errors="backslashreplace")

        options = [f"-max_total_time={seconds}", "-timeout=120", "-rss_limit_mb=4096", "-max_len=2048"]
        options += [f"-dict={keep / 'words'}", f"-artifact_prefix={keep}/finding-", str(keep / "corpus")]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--keep", type=Path, help="folder for findings and corpora")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.keep, args.seconds)
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"no target {min(unknown)!r}; there are {', '.join(TARGETS)}")
    base, total = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-")), 0
    print(f"{'target':<12}{'executions':>12}{'seconds':>9}{'a second':>10}{'edges':>8}{'findings':>10}")
    for name in args.targets or TARGETS:
        keep = base / name
        (keep / "corpus").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--child", name, "--keep", str(keep), "--seconds", str(args.seconds)]
        log = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode(errors="replace")
        (keep / "log").write_text(log)
        last = lambda pattern: int(([0] + re.findall(pattern, log))[-1])  # noqa: B023, E731
        runs, took, edges = last(r"#(\d+)\s"), last(r"runs in (\d+) second") or args.seconds, last(r"cov: (\d+)")
        if not runs:
            sys.exit(f"{name} did not run, see {keep / 'log'}")
        found = sorted(p for p in keep.glob("finding-*") if p.suffix != ".txt")
        total += len(found)
        print(f"{name:<12}{runs:>12,}{took:>9}{runs / max(took, 1):>10,.0f}{edges:>8}{len(found):>10}", flush=True)
        for path in found:
            print(f"  {path}")
    sys.exit(total > 0)


if __name__ == "__main__":
    main()
