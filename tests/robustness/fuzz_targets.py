"""The targets of fuzz.py: what reads the work of others, with properties that hold for any input.

All imports stand at the top, real ones: fuzz.py loads this file under atheris's instrumentation, and a name that has moved
is an error there and in tests/smoke/test_fuzz_targets.py.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import config as settings
from harness import run
from harness.config import RunSpec, resolve
from harness.core import chat
from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.data.problems import read_problems
from harness.grading import equivalence, graders
from harness.grading import parity as second_opinion
from harness.grading.answers import last_boxed
from harness.leaderboard import build, submit
from harness.leaderboard.submit import difference
from harness.runs import environment
from harness.runs.filed import read_manifest, read_packed
from harness.runs.files import mend, read_jsonl
from harness.search.answers import Answers
from harness.search.asking import Answer, ReflectorConfig, make_asker
from harness.search.reflect import ModelProposer
from harness.stats.claims import load_claims
from harness.stats.needs import needs
from harness.stats.questions import read_questions
from harness.study import load_study, prepare_study
from harness.testbed import world
from support.boards import make_run
from support.hostile import CLAIM, JOB, REPLY, STUDY, boxed_by_hand, figures, places, put, resealed
from support.results import suite_scores

Target = tuple[Callable[[bytes], None], list[bytes], str]
"""What is done with an input, inputs to begin with, and words (apart by spaces) that inputs are made of."""
YAML = "!!int !!float !!bool !!set !!binary &a *a .nan .inf <<: 2024-01-01 0x null [ { train.lr: train.epochs: seeds: \\ud800"
VALUES = 'NaN 1e999 Infinity null true "" [] {} \\ud800 9999999999999999999999 -1 ../'


def check(holds: bool, *what: object) -> None:
    if not holds:
        raise AssertionError(*what)


def fine(read: Callable[[], Any]) -> None:
    try:
        read()
    except HarnessError:
        pass


def text_of(data: bytes) -> str:
    """Any text, halves of surrogate pairs too."""
    return data.decode("utf-8", "surrogateescape")


def extraction(folder: Path) -> Target:
    golds = ["(B)", "17", "-3", "yes", "[ ] ( )", "valid", "3 4"]

    def target(data: bytes) -> None:
        text = text_of(data)
        check(last_boxed(text) == boxed_by_hand(text), text)
        for kind in ("choice", "exact", "testbed"):
            gold = "B" if kind == "choice" else golds[len(data) % len(golds)]
            for grade in graders.grader_of(kind)([(text, gold), (f"\\boxed{{{text}}}", gold)], 1, 4.0):
                check((grade.score, grade.status) in ((1.0, "ok"), (0.0, "ok"), (0.0, "unparsed")), kind, gold, grade)
        if text and len(text) < 100 and last_boxed(f"\\boxed{{{text}}}") == text:
            [grade] = graders.grade_exact([(f"\\boxed{{{text}}}", text)], 1, 4.0)
            check(grade.score == 1.0 or grade.status == "unparsed", text, grade)

    seeds = [rb"so \boxed{\frac{1}{2}} and \boxed{ (B) }.", rb"x \boxed{ [ \{ \} ] }", b"let 3 ans 3 4", rb"\boxed{1,234.0}"]
    return target, seeds, r"\boxed{ \boxed { } \{ \} \text{ (B) ans \lbrack 1,000 $ ~"


def parity(folder: Path) -> Target:
    second_opinion._symbolic = lambda answer, gold: False
    second_opinion.run_many = lambda function, pairs, workers, cpu_s: [function(*pair) for pair in pairs]

    def target(data: bytes) -> None:
        left, _, right = text_of(data).partition("\x00")
        check(all(score in (0.0, 1.0) for score in second_opinion.parity_many([(left, right), (right, left), (left, left)])))
        check(second_opinion.equal(left, left), left)
        box = second_opinion.extract(f"\\boxed{{{left}}}")
        check(second_opinion.parity_many([(f"\\boxed{{{left}}}", box)]) == [float(bool(box))], left)

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
        if (seen := second_opinion._at_sight(*texts)) is not None:
            check(seen == second_opinion.equal(*texts), "parity", *texts)
        if (verdict := equivalence.at_sight(*texts)) is not None:
            check(verdict == equivalence.verify_pair(*texts), verdict, *texts)

    seeds = [bytes([k, u, d, 0, 4, 7, 0, k % 4, 3, 1, 0, k % 3]) for k in range(8) for u, d in ((0, 0), (3, 1), (7, 8))]
    return target, seeds, "12 99"


def quick_settings(folder: Path) -> None:
    """A short recipe and few problems: these take most of an execution."""
    few = world.train_problems(4, 0.4, 0)
    world.train_problems = lambda *a: few
    (folder / "recipe.yaml").write_text("train: {epochs: 3, prompts_per_batch: 16}\np2o: {}\n")
    settings.recipes = lambda: {"testbed": folder / "recipe.yaml"}


def config(folder: Path) -> Target:
    """The first byte says whether the rest is a file or words of --set."""
    quick_settings(folder)
    path = folder / "c.yaml"

    def target(data: bytes) -> None:
        path.write_bytes(data[1:])
        args: dict[str, Any] = {"configs": [path]} if data[:1] < b"\x40" else {"sets": text_of(data[1:]).split("\x00")}
        spec = resolve("p2o", "testbed", **args)
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
    quick_settings(folder)
    (folder / "claims").mkdir()

    def target(data: bytes) -> None:
        (folder / "claims" / "mine.yaml").write_bytes(data)
        for claim in load_claims(folder / "claims").values():
            check(all(isinstance(line, str) for line in needs(claim)))

    return target, [json.dumps(CLAIM).encode()], f"{YAML} arms: settings: a=b: effect: seed_sd:"


def study(folder: Path) -> Target:
    quick_settings(folder)
    run.prepare = lambda *a: SimpleNamespace(plan=SimpleNamespace(generated_tokens=9), overlaps={})

    def target(data: bytes) -> None:
        (folder / "study.yaml").write_bytes(data)
        check(bool(prepare_study(load_study(str(folder / "study.yaml")), None)))

    return target, [json.dumps(STUDY).encode()], f"{YAML} arms: settings: conditions: match: method: grpo"


def data(folder: Path) -> Target:
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

    row = '{"problem": "%s", "seed": %d, "index": %d, "score": %d.0, "parity": 1.0, "greedy": false}\n'
    lines = "".join(row % (p, s, i, i) for s in (0, 1) for p in "ab" for i in (0, 1))
    seeds = [lines.encode(), lines.replace('"parity": 1.0', '"parity": null').encode(), lines[:100].encode()]
    return target, seeds, f'{VALUES} "problem": "seed": "index": "score": "parity": "greedy":'


def _rows(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def manifest(folder: Path) -> Target:
    """The first bytes choose a value in a file of a filed run, and whether all hashes are made to fit; the rest takes its
    place, or, where it is no JSON, that of the file."""
    world.suite_problems = cache(world.suite_problems)
    environment.code_version = lambda: None  # it asks git
    filed, _ = submit.add(make_run(folder / "run"), folder / "boards")
    build.build(folder / "boards")
    index = filed.parent / "index.json"
    kept = {p.relative_to(filed): p.read_bytes() for p in filed.rglob("*") if p.is_file()}
    built, true = index.read_bytes(), figures(filed)

    def read(path: Path, content: bytes) -> Any:
        if path.suffix == ".zst":
            return _rows(read_packed(filed, read_manifest(filed), "tb-long"))
        return _rows(content) if path.suffix == ".jsonl" else json.loads(content)

    trees = {path: read(path, content) for path, content in kept.items()}
    spots = [(path, at) for path, tree in trees.items() for at in places(tree) if at]

    def target(data: bytes) -> None:
        path, at = spots[int.from_bytes(data[:2], "big") % len(spots)]
        rows, content = None, data[3:]
        try:
            tree = put(trees[path], at, json.loads(content))
            content = _lines(tree) if path.suffix == ".jsonl" else json.dumps(tree).encode()
            rows = tree if path.suffix == ".zst" else None
        except (ValueError, RecursionError):
            pass
        now = filed
        try:
            if rows is None:
                (filed / path).write_bytes(content)
            now = resealed(filed, rows) if data[2:3] > b"\x40" or rows else filed
            found = figures(now)
            same = difference(true[0], found[0]) is None is difference(found[0], true[0])
            check(same and found[1] == true[1], path, at)
        finally:
            now.rename(filed)
            for name, before in kept.items():
                (filed / name).write_bytes(before)
            index.write_bytes(built)

    seeds = [bytes([i, 7 * i, 255 * (i % 2)]) + v for i in range(4) for v in (b"0", b'"x"', b"[]", b"{}", b"null", b"1e999")]
    same = next(i for i, spot in enumerate(spots) if spot == (Path("manifest.json"), ("not_a_result",)))
    seeds.append(same.to_bytes(2, "big") + b"\xffnull")  # what it says
    return target, seeds, VALUES


def answers(folder: Path) -> Target:
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
            reply = chat._parse(data, 100, 64)
        except chat.MalformedResponse:
            return
        first = propose(lambda prompts: [Answer(reply.text, reply.prompt_tokens, reply.tokens)], path)
        check(propose(replay(), None) == first)

    seeds = [json.dumps(REPLY).encode(), b'{"prompt_sha256": "x", "nth": 1, "epoch": 0, "text": "a", "answer": "a"}\n']
    return target, seeds, f'{VALUES} "choices": "message": "content": "usage": "completion_tokens": ``` \\n'
