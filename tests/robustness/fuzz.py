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
"""

from __future__ import annotations

import argparse
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
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Target = tuple[Callable[[bytes], None], list[bytes], str]
"""What is done with an input, inputs to begin with, and words (apart by spaces) that inputs are made of."""
YAML = "!!int !!float !!bool !!set !!binary &a *a .nan .inf <<: 2024-01-01 0x null [ { train.lr: train.epochs: seeds: \\ud800"
VALUES = 'NaN 1e999 Infinity null true "" [] {} \\ud800 9999999999999999999999 -1 ../'


def check(holds: bool, *what: object) -> None:
    if not holds:
        raise AssertionError(*what)


def fine(read: Callable[[], Any]) -> None:
    from harness.core.errors import HarnessError

    try:
        read()
    except HarnessError:
        pass


def text_of(data: bytes) -> str:
    """Any text, halves of surrogate pairs too."""
    return data.decode("utf-8", "surrogateescape")


def extraction(folder: Path) -> Target:
    from test_fuzz import boxed_by_hand

    from harness.grading import answers, graders

    golds = ["(B)", "17", "-3", "yes", "[ ] ( )", "valid", "3 4"]

    def target(data: bytes) -> None:
        text = text_of(data)
        check(answers.last_boxed(text) == boxed_by_hand(text), text)
        for kind in ("choice", "exact", "testbed"):
            gold = "B" if kind == "choice" else golds[len(data) % len(golds)]
            for grade in graders.grader_of(kind)([(text, gold), (f"\\boxed{{{text}}}", gold)], 1, 4.0):
                check((grade.score, grade.status) in ((1.0, "ok"), (0.0, "ok"), (0.0, "unparsed")), kind, gold, grade)
        if text and len(text) < 100 and answers.last_boxed(f"\\boxed{{{text}}}") == text:
            [grade] = graders.grade_exact([(f"\\boxed{{{text}}}", text)], 1, 4.0)
            check(grade.score == 1.0 or grade.status == "unparsed", text, grade)

    seeds = [rb"so \boxed{\frac{1}{2}} and \boxed{ (B) }.", rb"x \boxed{ [ \{ \} ] }", b"let 3 ans 3 4", rb"\boxed{1,234.0}"]
    return target, seeds, r"\boxed{ \boxed { } \{ \} \text{ (B) ans \lbrack 1,000 $ ~"


def parity(folder: Path) -> Target:
    from harness.grading import parity

    parity._symbolic = lambda answer, gold: False
    parity.run_many = lambda function, pairs, workers, cpu_s: [function(*pair) for pair in pairs]

    def target(data: bytes) -> None:
        left, _, right = text_of(data).partition("\x00")
        check(all(score in (0.0, 1.0) for score in parity.parity_many([(left, right), (right, left), (left, left)])))
        check(parity.equal(left, left), left)
        box = parity.extract(f"\\boxed{{{left}}}")
        check(parity.parity_many([(f"\\boxed{{{left}}}", box)]) == [float(bool(box))], left)

    seeds = [
        rb"\boxed{\frac12}" b"\x000.5",
        b"the answer is: 1,204.5.\x001204.5",
        rb"\left[0.5,1\right]" b"\x00[\\frac12,1]",
        rb"\begin{pmatrix}0.5\\2\end{pmatrix}" b"\x00(1,{2,3})",
        b"x=5\\text{ cm}\x005",
    ]
    return target, seeds, r"\boxed{ \frac{ \sqrt answer is x= \begin{pmatrix} \end{pmatrix} & \% 1e5 \text{"


def sight(folder: Path) -> Target:
    """Two plain numbers or fractions, the second a multiple of the first or on its own: what is decided at sight is what the
    libraries say."""
    from harness.grading import equivalence, parity

    factors = [1, 2, 10, 100, 1000, 99_990, 99_999, 100_000, 100_001, 100_010, 9_999, 10_000, 10_001, 10_002]

    def target(data: bytes) -> None:
        fields = data[:12].ljust(12, b"\x00")
        kind, up, down, *rest = fields
        a, b, c, d = (int.from_bytes(rest[i : i + n], "big") for i, n in ((0, 3), (3, 2), (5, 2), (7, 2)))
        if kind & 1:
            c, d = a * factors[up % len(factors)], (b or 1) * factors[down % len(factors)]
        texts = [
            f"{'-' * bool(kind & sign)}\\frac{{{n}}}{{{m}}}" if m else f"{'-' * bool(kind & sign and n)}{n}"
            for n, m, sign in ((a, b, 2), (c, d, 4))
        ]
        if (seen := parity._at_sight(*texts)) is not None:
            check(seen == parity.equal(*texts), "parity", *texts)
        if (verdict := equivalence.at_sight(*texts)) is not None:
            check(verdict == equivalence.verify_pair(*texts), verdict, *texts)

    seeds = [bytes([k, u, d, 0, 4, 7, 0, k % 4, 3, 1, 0, k % 3]) for k in range(8) for u, d in ((0, 0), (3, 1), (7, 8))]
    return target, seeds, "12 99"


def quick_settings(folder: Path) -> None:
    """A short recipe and few problems: these take most of an execution."""
    from harness import config
    from harness.testbed import world

    few = world.train_problems(4, 0.4, 0)
    world.train_problems = lambda *a: few
    (folder / "recipe.yaml").write_text("train: {epochs: 3, prompts_per_batch: 16}\np2o: {}\n")
    config.recipes = lambda: {"testbed": folder / "recipe.yaml"}


def config(folder: Path) -> Target:
    """The first byte says whether the rest is a file or words of --set."""
    from harness.config import RunSpec, resolve

    quick_settings(folder)
    path = folder / "c.yaml"

    def target(data: bytes) -> None:
        path.write_bytes(data[1:])
        args: dict[str, Any] = {"configs": [path]} if data[:1] < b"\x40" else {"sets": text_of(data[1:]).split("\x00")}
        spec = resolve("p2o", **args)
        stored = json.loads(json.dumps(spec.model_dump(mode="json"), ensure_ascii=False).encode())
        check(RunSpec(**stored).hash() == spec.hash(), data)

    seeds = [
        b"xtrain.lr=1e-4\x00seeds=[1,2]",
        b"xeval.decoding={kind: sampled, k: 4}",
        b'xbackend.flags."a.b"=true',
        b"\x00train:\n  lr: 1.0\np2o: {evolve: {}}\nseeds: [0, 1]\n",
        b"\x00a: &a {k: 1}\nb: *a\n",
    ]
    return target, seeds, f"{YAML} train.lr= p2o= backend.flags= eval.decoding={{kind:"


def claims(folder: Path) -> Target:
    from test_fuzz_files import CLAIM

    from harness.stats.claims import load_claims
    from harness.stats.needs import needs

    quick_settings(folder)
    (folder / "claims").mkdir()

    def target(data: bytes) -> None:
        (folder / "claims" / "mine.yaml").write_bytes(data)
        for claim in load_claims(folder / "claims").values():
            check(all(isinstance(line, str) for line in needs(claim)))

    return target, [json.dumps(CLAIM).encode()], f"{YAML} arms: settings: a=b: effect: seed_sd:"


def study(folder: Path) -> Target:
    from test_fuzz_files import STUDY

    from harness import run
    from harness.study import load_study, prepare_study

    quick_settings(folder)
    run.prepare = lambda *a: SimpleNamespace(plan=SimpleNamespace(generated_tokens=9), overlaps={})

    def target(data: bytes) -> None:
        (folder / "study.yaml").write_bytes(data)
        check(bool(prepare_study(load_study(str(folder / "study.yaml")), None)))

    return target, [json.dumps(STUDY).encode()], f"{YAML} arms: settings: conditions: match: method: grpo"


def data(folder: Path) -> Target:
    from harness.data.suites import read_problems

    def target(data: bytes) -> None:
        path = folder / ("x.jsonl.gz" if data[:2] == b"\x1f\x8b" else "x.jsonl")
        path.write_bytes(data)
        problems = read_problems(path, "math")
        check(len({p.id for p in problems}) == len(problems) > 0)
        for p in problems:
            (p.id + p.text + p.answer + (p.solution or "")).encode()

    row = b'{"id": "a", "problem": "1+1?", "answer": "2", "solution": "so 2", "meta": {"x": 1}}\n'
    seeds = [row, row + b'{"id": "b", "problem": "x", "answer": "y"}', gzip.compress(row, mtime=0)]
    return target, seeds, f'{VALUES} "id": "problem": "answer": "solution": "meta":'


def samples(folder: Path) -> Target:
    from harness.runs.files import mend, read_jsonl
    from harness.stats.questions import read_questions
    from support.results import suite_scores

    suite = suite_scores({0: 0.5, 1: 0.5}, n=2, k=2)
    path = folder / "x.jsonl"

    def mended(data: bytes) -> None:
        read = read_jsonl(path)
        mend(path)
        check(repr(read_jsonl(path)) == repr(read))

    def target(data: bytes) -> None:
        path.write_bytes(data)
        fine(lambda: mended(data))
        q = read_questions(data, path, suite, (0, 1))
        check(q.scores_S_Q.mean(1).tolist() == [0.5, 0.5] and len(q.ids) == 2)

    row = '{"problem": "%s", "seed": %d, "index": %d, "greedy": false, "score": %d.0, "parity": 1.0}\n'
    lines = "".join(row % (p, s, i, i) for s in (0, 1) for p in "ab" for i in (0, 1))
    seeds = [lines.encode(), lines.replace('"parity": 1.0', '"parity": null').encode(), lines[:100].encode()]
    return target, seeds, f'{VALUES} "problem": "seed": "index": "score": "parity": "greedy":'


def manifest(folder: Path) -> Target:
    """The first bytes choose a value in a file of a filed run, and whether all hashes are made to fit; the rest takes its
    place, or, where it is no JSON, that of the file."""
    from test_fuzz_files import figures, places, put, resealed

    from harness.leaderboard import build, submit
    from harness.runs import environment
    from harness.testbed import world
    from support.boards import make_run, sample_rows

    world.suite_problems = cache(world.suite_problems)
    environment.code_version = lambda: None  # it asks git
    filed, _ = submit.add(make_run(folder / "run"), folder / "boards")
    build.build(folder / "boards")
    index = filed.parent / "index.json"
    kept = {p.relative_to(filed): p.read_bytes() for p in filed.rglob("*") if p.is_file()}
    built, true = index.read_bytes(), figures(filed)

    def read(path: Path, content: bytes) -> Any:
        if path.suffix == ".zst":
            return sample_rows(filed)
        return [json.loads(line) for line in content.splitlines()] if path.suffix == ".jsonl" else json.loads(content)

    trees = {path: read(path, content) for path, content in kept.items()}
    spots = [(path, at) for path, tree in trees.items() for at in places(tree) if at]

    def target(data: bytes) -> None:
        path, at = spots[int.from_bytes(data[:2], "big") % len(spots)]
        rows, content = None, data[3:]
        try:
            tree = put(trees[path], at, json.loads(content))
            content = "".join(json.dumps(row) + "\n" for row in (tree if path.suffix == ".jsonl" else [tree])).encode()
            rows = tree if path.suffix == ".zst" else None
        except (ValueError, RecursionError):
            pass
        now = filed
        try:
            if rows is None:
                (filed / path).write_bytes(content)
            now = resealed(filed, rows) if data[2:3] > b"\x40" or rows else filed
            found = figures(now)
            same = submit.difference(true[0], found[0]) is None is submit.difference(found[0], true[0])
            check(same and found[1] == true[1], path, at)
        finally:
            now.rename(filed)
            for name, before in kept.items():
                (filed / name).write_bytes(before)
            index.write_bytes(built)

    seeds = [bytes([i, 7 * i, 255 * (i % 2)]) + v for i in range(4) for v in (b"0", b'"x"', b"[]", b"{}", b"null", b"1e999")]
    return target, seeds, VALUES


def answers(folder: Path) -> Target:
    from test_fuzz_files import JOB, REPLY

    from harness.core import chat
    from harness.core.ledger import Ledger
    from harness.search.answers import Answers
    from harness.search.reflect import Answer, ModelProposer, ReflectorConfig, make_asker

    path = folder / "answers.jsonl"

    def replay() -> Any:
        return make_asker(ReflectorConfig(kind="replay", path=str(path)), None, 0)

    def propose(ask: Any, record: Path | None) -> tuple[list[str], dict[str, Any]]:
        ledger = Ledger()
        return ModelProposer(ask, 5000, ledger, record).propose([JOB]), ledger.to_dict()

    def target(data: bytes) -> None:
        path.write_bytes(data)
        fine(lambda: Answers(path, 0))
        fine(replay)
        path.unlink()
        try:
            reply = chat._parse(data)
        except chat.MalformedResponse:
            return
        first = propose(lambda prompts: [Answer(reply.text, reply.prompt_tokens, reply.tokens)], path)
        check(propose(replay(), None) == first)

    seeds = [json.dumps(REPLY).encode(), b'{"prompt_sha256": "x", "nth": 1, "epoch": 0, "text": "a", "answer": "a"}\n']
    return target, seeds, f'{VALUES} "choices": "message": "content": "usage": "completion_tokens": ``` \\n'


TARGETS = {f.__name__: f for f in (extraction, parity, sight, config, claims, study, data, samples, manifest, answers)}


def child(name: str, keep: Path, seconds: int) -> None:
    """Fuzz one target; never returns. A finding is kept once for its kind and place, and the search goes on."""
    import atheris

    tests = Path(__file__).resolve().parents[1] / "tests"
    sys.path[:0] = map(str, (tests, tests / "unit", tests / "unit" / "runs"))
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, atheris.instrument_imports(include=["harness"]):
        for module in ("leaderboard.build", "cli", "search.reflect", "grading.parity", "study", "stats.assess"):
            import_module(f"harness.{module}")
        target, seeds, words = TARGETS[name](Path(folder))
        for seed in seeds:
            (keep / "corpus" / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
        escaped = ["".join(f"\\x{b:02x}" for b in word.encode()) for word in words.split()]
        (keep / "words").write_text("".join(f'"{word}"\n' for word in escaped))

        def one(data: bytes) -> None:
            try:
                fine(lambda: target(data))
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
