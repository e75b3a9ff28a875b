"""Coverage-guided fuzzing of all that reads what others wrote: completions, settings, data, samples, filed runs, answers.

    pip install -e '.[test,fuzz]'
    python perf/fuzz.py [TARGET ...] [--seconds 600] [--keep DIR]

Every target runs in a child process of its own, for so many seconds, on atheris with the branches of `harness` as its guide.
A HarnessError is a fine answer to any input. Anything else that is raised is a finding, and so is a property that does not
hold: the last box is what a reader of one character at a time finds, parity never raises, a verified run has the figures
that it was filed with. Prints executions, seconds, executions a second, covered edges and findings by target; exit code 1
where there are findings. --keep holds the inputs behind them, with the traceback, and the corpus that a later call goes on
from. Without the sympy part of the graders, which runs in children with a limit (harness/grading/pool.py).
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests" / "unit"
WORDS = {
    "extraction": [r"\boxed{", r"\boxed", "{", "}", r"\{", r"\text{", "(B)", "ans ", r"\lbrack", "1,000"],
    "parity": [r"\boxed{", r"\frac{", r"\sqrt", "answer is", "x=", r"\begin{pmatrix}", r"\end{pmatrix}", "&", r"\%", "1e5"],
    "config": ["train.lr=", "p2o=", "backend.flags=", "!!int ", "!!float ", "!!bool ", "!!set ", "!!binary ", "&a", "*a", ".nan",
               "<<: ", "2024-01-01", "0x", "null", "eval.decoding={kind: ", "train:\n  lr: ", "seeds: [0]"],
    "claims": ["arms: ", "arm: ", "settings: ", "train.lr: ", "a=b: ", "effect: ", "suites: [tb-id]", "&a", "*a", "seed_sd: "],
    "study": ["arms: ", "a: {method: grpo}", "settings: ", "train.lr: ", "conditions: ", "match: a", "seeds: [0]", "&a", "*a"],
    "data": ['{"id": "', '"problem": "', '"answer": "', '"solution": ', '"meta": {}', "\n", "\\ud800", "\x1f\x8b"],
    "samples": ['"problem":', '"seed":', '"index":', '"score":', '"parity":', '"greedy":', "1e999", "-1", "NaN", "null", "\n"],
    "manifest": ["NaN", "1e999", "Infinity", "null", "true", '"', "[]", "{}", "\\ud800", "9" * 40, "-1", "../"],
    "answers": ['"choices":', '"message":', '"content":', '"usage":', '"completion_tokens":', "```", "\\ud800", "null", "1e9"],
}  # fmt: skip
"""By target: pieces that inputs are made of."""
Target = Callable[[bytes], None]


def check(holds: bool, *what: object) -> None:
    if not holds:
        raise AssertionError(*what)


def text_of(data: bytes) -> str:
    """Any text, halves of surrogate pairs too."""
    return data.decode("utf-8", "surrogateescape")


def extraction(folder: Path) -> tuple[Target, list[bytes]]:
    from test_fuzz import boxed_by_hand

    from harness.grading import graders

    golds = ["(B)", "17", "-3", "yes", "[ ] ( )", "valid", "3 4"]

    def target(data: bytes) -> None:
        text = text_of(data)
        check(graders.last_boxed(text) == boxed_by_hand(text), text)
        for kind in ("choice", "exact", "testbed"):
            gold = "B" if kind == "choice" else golds[len(data) % len(golds)]
            pairs = [(text, gold), (f"\\boxed{{{text}}}", gold)]
            for (completion, gold), grade in zip(pairs, graders.GRADERS[kind](pairs, 1, 4.0), strict=True):
                fine = grade.score in (0.0, 1.0) and grade.status == ("ok" if grade.score else grade.status)
                check(fine and grade.status in ("ok", "unparsed"), kind, completion, gold, grade)
        # what follows is read as the gold's own reader reads it: an answer equal to the gold is right
        if text and graders.last_boxed(f"\\boxed{{{text}}}") == text and len(text) < 100:
            [grade] = graders.grade_exact([(f"\\boxed{{{text}}}", text)], 1, 4.0)
            check(grade.score == 1.0 or grade.status == "unparsed", text, grade)

    return target, [rb"so \boxed{\frac{1}{2}} and \boxed{ (B) }.", rb"x \boxed{ [ \{ \} ] }", b"let <S> 3 ans 3 4", rb"\boxed{1,234.0}"]


def parity(folder: Path) -> tuple[Target, list[bytes]]:
    from harness.grading import parity

    parity._symbolic = lambda answer, gold: False
    parity.run_many = lambda function, pairs, workers, cpu_s: [function(*pair) for pair in pairs]

    def target(data: bytes) -> None:
        left, _, right = text_of(data).partition("\x00")
        check(all(score in (0.0, 1.0) for score in parity.parity_many([(left, right), (right, left), (left, left)])))
        check(parity.equal(left, left), left)
        box = parity.extract(f"\\boxed{{{left}}}")
        check(parity.parity_many([(f"\\boxed{{{left}}}", box)]) == [float(bool(box))], left)

    return target, [rb"\boxed{\frac12}" b"\x000.5", b"the answer is: 1,204.5.\x001204.5", rb"\left[0.5,1\right]" b"\x00[\\frac12,1]",
                    rb"\begin{pmatrix}0.5\\2\end{pmatrix}" b"\x00(1,{2,3})", b"x=5\\text{ cm}\x005"]  # fmt: skip


def quick_settings(folder: Path) -> None:
    """A short recipe, one look at the installed packages, few problems: these take most of an execution."""
    from harness import config, registry
    from harness.testbed import world

    registry.methods = config.methods = cache(registry.methods)
    few = world.train_problems(4, 0.4, 0)
    world.train_problems = lambda *a: few
    (folder / "recipe.yaml").write_text("train: {epochs: 3, prompts_per_batch: 16}\np2o: {}\n")
    config.recipes = lambda: {"testbed": folder / "recipe.yaml"}


def config(folder: Path) -> tuple[Target, list[bytes]]:
    from harness.config import RunSpec, resolve

    quick_settings(folder)

    def target(data: bytes) -> None:
        text, path = text_of(data), folder / "c.yaml"
        path.write_bytes(data[1:])
        args: dict[str, Any] = {"configs": [path]} if data[:1] < b"\x40" else {"sets": text[1:].split("\x00")}
        spec = resolve("p2o", **args)
        stored = json.loads(json.dumps(spec.model_dump(mode="json"), ensure_ascii=False).encode())
        check(RunSpec(**stored).hash() == spec.hash(), text)

    return target, [b"xtrain.lr=1e-4\x00seeds=[1,2]", b"xeval.decoding={kind: sampled, k: 4}", b'xbackend.flags."a.b"=true',
                    b"\x00train:\n  lr: 1.0\np2o: {evolve: {}}\nseeds: [0, 1]\n", b"\x00a: &a {k: 1}\nb: *a\n"]  # fmt: skip


def claims(folder: Path) -> tuple[Target, list[bytes]]:
    from test_fuzz_files import CLAIM

    from harness.verdict.claims import load_claims, needs

    quick_settings(folder)
    (folder / "claims").mkdir()

    def target(data: bytes) -> None:
        (folder / "claims" / "mine.yaml").write_bytes(data)
        for claim in load_claims(folder / "claims").values():
            check(all(isinstance(line, str) for line in needs(claim)))

    return target, [json.dumps(CLAIM).encode()]


def study(folder: Path) -> tuple[Target, list[bytes]]:
    from test_fuzz_files import STUDY

    from harness import run
    from harness.study import load_study, prepare_study

    quick_settings(folder)
    run.prepare = lambda *a: SimpleNamespace(plan=SimpleNamespace(generated_tokens=9), overlaps={})
    path = folder / "study.yaml"

    def target(data: bytes) -> None:
        path.write_bytes(data)
        check(bool(prepare_study(load_study(str(path)), None)))

    return target, [json.dumps(STUDY).encode()]


def data(folder: Path) -> tuple[Target, list[bytes]]:
    from harness.data.suites import read_problems

    row = b'{"id": "a", "problem": "1+1?", "answer": "2", "solution": "so 2", "meta": {"x": 1}}\n'

    def target(data: bytes) -> None:
        path = folder / ("x.jsonl.gz" if data[:2] == b"\x1f\x8b" else "x.jsonl")
        path.write_bytes(data)
        problems = read_problems(path, "math")
        check(len({p.id for p in problems}) == len(problems) > 0)
        for p in problems:
            (p.id + p.text + p.answer + (p.solution or "")).encode()

    return target, [row, row + b'{"id": "b", "problem": "x", "answer": "y"}', gzip.compress(row, mtime=0)]


def samples(folder: Path) -> tuple[Target, list[bytes]]:
    from harness.rundir import mend, read_jsonl
    from harness.verdict.questions import read_questions

    rows = [{"problem": p, "seed": s, "index": i, "score": float(i), "parity": 1.0} for s in (0, 1) for p in "ab" for i in (0, 1)]
    result = {"seeds": [0, 1], "suites": {"x": {"n": 2, "k": 2, "per_seed": {"0": 0.5, "1": 0.5}}}}

    def target(data: bytes) -> None:
        path = folder / "x.jsonl"
        path.write_bytes(data)
        try:
            read = read_jsonl(path)
            mend(path)
            check(read_jsonl(path) == read or "nan" in repr(read))
        finally:
            q = read_questions(data, path, result, "x")
            check(q.scores_S_Q.mean(1).tolist() == [0.5, 0.5] and len(q.ids) == 2)

    lines = "".join(json.dumps(r) + "\n" for r in rows)
    return target, [lines.encode(), lines.replace('"parity": 1.0', '"greedy": false').encode(), lines[:100].encode()]


def manifest(folder: Path) -> tuple[Target, list[bytes]]:
    """The first bytes choose a file, a place in its JSON and whether all hashes are made to fit; the rest is the value."""
    from test_board import make_run
    from test_fuzz_files import figures, places, put, resealed

    from harness.boards import filing, publish
    from harness.filed import read_samples
    from harness.testbed import world

    world.suite_problems = cache(world.suite_problems)
    filing._graders = lambda: "graders"  # asks git each time
    filed, _ = filing.add(make_run(folder / "run"), folder / "boards")
    publish.build(folder / "boards")
    kept = {p.relative_to(filed): p.read_bytes() for p in filed.rglob("*") if p.is_file()}
    index, true = (filed.parent / "index.json").read_bytes(), figures(filed)
    suite = Path("samples/tb-long.jsonl.zst")
    rows = filing._rows(read_samples(filed, json.loads(kept[Path("manifest.json")]), "tb-long"))
    trees: list[tuple[Path, Any]] = [(suite, rows)] + [
        (p, [json.loads(x) for x in d.splitlines()] if p.suffix == ".jsonl" else json.loads(d)) for p, d in kept.items() if p != suite
    ]
    spots = [(path, tree, at) for path, tree in trees for at in places(tree) if at]

    def target(data: bytes) -> None:
        path, tree, at = spots[int.from_bytes(data[:2], "big") % len(spots)]
        try:
            new = put(copy.copy(tree), at, json.loads(data[3:]))
        except (ValueError, RecursionError):
            new = None
        if path == suite and new is None:
            return
        if path != suite:
            lines = "".join(json.dumps(x) + "\n" for x in new) if path.suffix == ".jsonl" and new else json.dumps(new)
            (filed / path).write_bytes(data[3:] if new is None else lines.encode())
        now = filed
        try:
            now = resealed(filed, new if path == suite else None) if data[2:3] > b"\x40" or path == suite else filed
            found = figures(now)
            same = filing.difference(true[0], found[0]) is None is filing.difference(found[0], true[0])
            check(same and found[1] == true[1], path, at)
        finally:
            now.rename(filed)
            for name, content in kept.items():
                (filed / name).write_bytes(content)
            (filed.parent / "index.json").write_bytes(index)

    return target, [bytes([i, 7 * i % 256, 255 * (i % 2)]) + v for i in range(4) for v in (b"0", b'"x"', b"[]", b"{}", b"null", b"1e999")]


def answers(folder: Path) -> tuple[Target, list[bytes]]:
    from test_fuzz_files import JOB, REPLY

    from harness import chat
    from harness.evolve.answers import Answers
    from harness.evolve.reflect import Answer, ModelProposer, ReflectorConfig, make_asker
    from harness.ledger import Ledger

    path = folder / "answers.jsonl"

    def propose(ask: Any, record: Path | None) -> tuple[list[str], dict[str, Any]]:
        ledger = Ledger()
        return ModelProposer(ask, 5000, ledger, record).propose([JOB]), ledger.to_dict()

    def target(data: bytes) -> None:
        path.write_bytes(data)
        for read in (lambda: Answers(path, 0), lambda: make_asker(ReflectorConfig(kind="replay", path=str(path)), None, 0)):
            fine(read)
        try:
            reply = chat._parse(data)
        except chat.Nonsense:
            return
        path.unlink()
        first = propose(lambda prompts: [Answer(reply.text, reply.prompt_tokens, reply.tokens)], path)
        check(propose(make_asker(ReflectorConfig(kind="replay", path=str(path)), None, 0), None) == first)

    return target, [json.dumps(REPLY).encode(), b'{"prompt_sha256": "x", "nth": 1, "epoch": 0, "text": "a", "answer": "a"}\n']


TARGETS = {f.__name__: f for f in (extraction, parity, config, claims, study, data, samples, manifest, answers)}


def fine(read: Callable[[], Any]) -> None:
    from harness.errors import HarnessError

    try:
        read()
    except HarnessError:
        pass


def child(name: str, keep: Path, seconds: int) -> None:
    """Fuzz one target; never returns. A finding is written down once by its kind and place, and the search goes on."""
    import atheris

    sys.path.insert(0, str(TESTS))
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, atheris.instrument_imports(include=["harness"]):

        target, seeds = TARGETS[name](Path(folder))
        for seed in seeds:
            (keep / "corpus" / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
        quoted = ["".join(f"\\x{b:02x}" for b in word.encode()) for word in WORDS[name]]
        (keep / "words").write_text("".join(f'"{word}"\n' for word in quoted))

        def one(data: bytes) -> None:
            try:
                fine(lambda: target(data))
            except Exception as e:
                frames = traceback.extract_tb(e.__traceback__)
                where = [f for f in frames if "/harness/" in f.filename][-1:] or frames[-1:]
                kind = f"{type(e).__name__}-{Path(where[0].filename).stem}-{where[0].lineno}"
                if not (keep / f"finding-{kind}").exists():
                    (keep / f"finding-{kind}").write_bytes(data)
                    (keep / f"finding-{kind}.txt").write_text(traceback.format_exc().encode("utf-8", "replace").decode())

        options = [f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=4096", "-max_len=2048", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, f"-dict={keep / 'words'}", f"-artifact_prefix={keep}/finding-", str(keep / "corpus")], one)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--keep", type=Path, help="folder for findings and corpora")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"no target {sorted(unknown)[0]!r}; there are {', '.join(TARGETS)}")
    if args.child:
        child(args.child, args.keep, args.seconds)
    base, total = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-")), 0
    print(f"{'target':<12}{'executions':>12}{'seconds':>9}{'a second':>10}{'edges':>8}{'findings':>10}")
    for name in args.targets or TARGETS:
        keep = base / name
        (keep / "corpus").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--child", name, "--keep", str(keep), "--seconds", str(args.seconds)]
        log = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode(errors="replace")
        (keep / "log").write_text(log)
        last = lambda pattern: int(([0] + re.findall(pattern, log))[-1])  # noqa: E731
        runs, took = last(r"Done (\d+) runs") or last(r"#(\d+)"), last(r"runs in (\d+) second") or args.seconds
        found = sorted(p for p in keep.glob("finding-*") if p.suffix != ".txt")
        total += len(found)
        edges = last(r"cov: (\d+)")
        print(f"{name:<12}{runs:>12,}{took:>9}{runs / max(took, 1):>10,.0f}{edges:>8}{len(found):>10}", flush=True)
        for path in found:
            print(f"  {path}")
        if not found and not runs:
            sys.exit(f"{name} did not run, see {keep / 'log'}")
    sys.exit(total > 0)


if __name__ == "__main__":
    main()
