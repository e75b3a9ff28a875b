"""Leaderboards: finished runs filed with what their figures are made of, and those figures computed again from it.

    leaderboards/<training set>/<model>/
      <run>/manifest.json            what was run, where, what it paid; SHA-256 of every file
            samples/<suite>.jsonl.zst   every evaluation sample, graded
            metrics.json             figures derived from the samples, and nothing else
            training.json            the curves that a page draws, thinned
            templates.jsonl          every evolved template with its parents
      README.md scores*.csv scores*.tex scores*.svg index.html index.json   built (harness/leaderboard/build.py)

What a filed run holds may come from anybody: it is read through harness/runs/filed.py.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, MissingError, UsageError, dotted
from harness.core.text import visible
from harness.data.suites import load_suite
from harness.evaluation.estimators import mean_or_none
from harness.evaluation.evaluate import sample_metrics
from harness.evaluation.results import macro_averages, over_seeds
from harness.runs.filed import (
    EVIDENCE,
    SCHEMA,
    check_files,
    compress,
    read_bytes,
    read_json,
    read_manifest,
    read_samples,
    result_of,
    run_id,
    sha256,
    slug,
    spec_sha256,
)
from harness.runs.files import read_jsonl, sync
from harness.runs.result import load_result
from harness.stats.questions import Questions, read_questions

SUITE_FACTS = ("role", "title", "data_sha256", "n", "k", "temperature", "max_new_tokens", "flagged")
"""What a manifest says of a suite; all other figures are derived from samples."""
ROW = (
    "problem",
    "seed",
    "index",
    "greedy",
    "completion",
    "answer",
    "gold",
    "score",
    "parity",
    "status",
    "truncated",
    "prompt_tokens",
    "tokens",
    "prompt_sha256",
)
"""What is filed of a sample. Prompts hold the problems, whose licences are not ours: only their hash is."""
GRADES = ("score", "status", "parity")
FAULTS = ("timeout", "error")
POINTS = 60
"""Of a filed curve, at most."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """One metric of one seed over rollouts; `kind` is batch or epoch."""

    seed: int
    kind: str
    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Entry:
    """A run as a page needs it, filed or not. `result` is as `load_result` gives it; `evidence` is None where not filed.

    `picks` are the samples to be shown: suite to rows, with `prompt` where that is at hand.
    """

    folder: Path
    result: dict[str, Any]
    questions: dict[str, Questions]
    curves: dict[str, list[Curve]]
    templates: list[Row]
    environment: dict[str, Any]
    evidence: str | None = None
    picks: dict[str, list[Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Template:
    """What must be in a row of templates.jsonl; methods add facts of their own."""

    seed: int
    epoch: int
    template: str
    selected: bool
    mean_score: float | None = None
    candidate: int | None = None
    parent: int | None = None


@dataclass(frozen=True)
class Verified:
    """What was computed again of one filed run. `faults`: samples on which a grader failed when they were filed;
    `golds`: suites whose gold answers were held against the suite's own data."""

    run: str
    evidence: str
    samples: int
    figures: int
    faults: int
    golds: tuple[str, ...]


# ---------------------------------------------------------------------- filing


def add(run: Path, board: Path, evidence: str = "recomputed", allow_stamped: bool = False) -> tuple[Path, bool]:
    """File a finished run below `board`; returns its folder, and whether it is new.

    Grades every sample again and recomputes every score first; writes nothing unless all agree with result.json.
    Raises UsageError for a run that is no result (unless allowed), or where other content has its place; HarnessError
    where samples and scores disagree, or samples are missing (only evidence "reported" does without).
    """
    result = load_result(run)
    if evidence not in EVIDENCE:
        raise UsageError(f"no evidence level {evidence!r}; there are {', '.join(EVIDENCE)}")
    if result.get("not_a_result") and not allow_stamped:
        raise UsageError(f"{run} is not a result: {result['not_a_result']}. --allow-not-a-result files it with that stamp")
    files: dict[str, bytes] = {}
    unpacked: dict[str, dict[str, Any]] = {}
    if evidence == "reported":
        metrics = {"suites": {n: _derived(s) for n, s in result["suites"].items()}, "macro": result["macro"]}
    else:
        metrics = _file_samples(run, result, files, unpacked)
    files["metrics.json"] = _json(metrics)
    files["training.json"] = (json.dumps({k: [vars(c) for c in v] for k, v in _curves(run).items()}) + "\n").encode()
    templates = [r for s in result["seeds"] for r in read_jsonl(run / "templates" / f"s{s}.jsonl")]
    files["templates.jsonl"] = _lines(templates)
    manifest = _manifest(run, result, evidence, files, unpacked)
    folder = board / slug(result["training_set"]) / slug(Path(result["model"]).name) / manifest["run"]
    files["manifest.json"] = _json(manifest)
    return folder, _place(folder, files)


def _file_samples(
    run: Path, result: Mapping[str, Any], files: dict[str, bytes], unpacked: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Fills `files` and `unpacked` (size and hash of what is in them); returns the metrics."""
    samples = {}
    for name in result["suites"]:
        path = run / "samples" / f"{name}.jsonl"
        if not path.exists():
            raise HarnessError(f"{path} is missing; without samples a run can only be filed as --evidence reported")
        try:
            samples[name] = canonical(read_jsonl(path), result["seeds"], load_suite(name).file is None)
        except (KeyError, TypeError, ValueError) as e:
            raise HarnessError(f"{path} cannot be read: {e!r}") from None
    confirm_grades(samples, str(run))
    content = {name: _lines(rows) for name, rows in samples.items()}
    for name, rows in samples.items():
        check_complete(rows, result["suites"][name], result["seeds"], run / "samples" / f"{name}.jsonl")
    metrics = derive(samples, result["suites"], result["seeds"])
    differ = difference({n: {**_derived(s)} for n, s in result["suites"].items()}, metrics["suites"]) or difference(
        result["macro"], metrics["macro"]
    )
    if differ:
        raise HarnessError(f"{run / 'result.json'}: {differ[0]} is {differ[1]!r}, its samples give {differ[2]!r}")
    for name, data in content.items():
        path = f"samples/{name}.jsonl.zst"
        files[path] = compress(data)
        unpacked[path] = {"rows": len(samples[name]), "content_bytes": len(data), "content_sha256": sha256(data)}
    return metrics


def canonical(rows: Sequence[Row], seeds: Sequence[int], with_prompt: bool) -> list[Row]:
    """The samples of these seeds in one order and form, so that the same samples are the same bytes."""
    kept = [
        {
            **{key: row.get(key) for key in ROW},
            "greedy": row.get("greedy", False),
            **({"prompt": row["prompt"]} if with_prompt and "prompt" in row else {}),
        }
        for row in rows
        if row["seed"] in seeds
    ]
    return sorted(kept, key=lambda r: (seeds.index(r["seed"]), r["greedy"], r["problem"], r["index"]))


def _manifest(
    run: Path, result: Mapping[str, Any], evidence: str, files: Mapping[str, bytes], unpacked: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    env = json.loads((run / "env.json").read_text()) if (run / "env.json").exists() else {}
    hidden = ("commands", "packages", "code", "started")  # commands hold paths of the machine
    facts = (
        "method",
        "model",
        "recipe",
        "training_set",
        "problems_sha256",
        "reference",
        "reference_source",
        "teacher",
        "teacher_tokens",
        "not_a_result",
    )
    own = {
        "schema": SCHEMA,
        "evidence": evidence,
        **{key: result.get(key) for key in facts},
        "seeds": list(result["seeds"]),
        "spec": result["spec"],
        "spec_sha256": spec_sha256(result["spec"]),
        "code": env.get("code"),
        "packages": env.get("packages", {}),
        "started": env.get("started"),
        "hardware": {key: value for key, value in env.items() if key not in hidden},
        "identity": result.get("identity", {}),
        "suites": {n: {key: s[key] for key in SUITE_FACTS if key in s} for n, s in result["suites"].items()},
        "ledger": result["ledger"],
        "ledgers": result["ledgers"],
        "files": {
            path: {"bytes": len(data), "sha256": sha256(data), **unpacked.get(path, {})} for path, data in sorted(files.items())
        },
    }
    return {"run": run_id(own), **own}


def _place(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Write all files or none; False where they are there already."""
    if folder.exists():
        if _same(folder, files):
            return False
        raise UsageError(f"{folder} holds this run with other content; remove it first if this is to take its place")
    temporary = folder.with_name(f".adding-{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if temporary.exists():  # of an `add` that was killed
            shutil.rmtree(temporary)
        temporary.mkdir()
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            sync(path)
        os.rename(temporary, folder)
        sync(folder.parent)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise HarnessError(f"cannot write {folder}: {e.strerror}") from None
    return True


def _same(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether the folder's manifest says the same; another version of zstd packs the same content into other bytes."""
    path = folder / "manifest.json"
    if not path.exists():
        return False

    def content(data: bytes) -> Any:
        manifest = json.loads(data)
        for f in manifest["files"].values():
            if "content_sha256" in f:
                f.pop("sha256"), f.pop("bytes")
        return manifest

    try:
        return content(path.read_bytes()) == content(files["manifest.json"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return False


def _curves(run: Path) -> dict[str, list[Curve]]:
    """The metrics that a page draws, of every seed: means of consecutive rows, at most POINTS of them, six digits."""
    from harness.report.pages import CURVES
    from harness.report.plots import thin

    by: dict[str, dict[tuple[int, str], list[Row]]] = {}
    for row in read_jsonl(run / "metrics.jsonl"):
        for key, value in row.items():
            if (key in CURVES or key.startswith("branch_")) and isinstance(value, int | float) and math.isfinite(value):
                by.setdefault(key, {}).setdefault((row["seed"], row["kind"]), []).append(row)

    def short(values: list[float]) -> list[float]:
        return [float(f"{v:.6g}") for v in thin(values, POINTS)]

    return {
        key: [
            Curve(seed, kind, short([r["rollouts"] for r in rows]), short([r[key] for r in rows]))
            for (seed, kind), rows in sorted(found.items())
        ]
        for key, found in sorted(by.items())
    }


# ---------------------------------------------------------------------- figures from samples


def derive(samples: Mapping[str, Sequence[Row]], suites: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """metrics.json: every figure of every suite, and the macro averages, from canonical samples."""
    out = {name: _of_suite(rows, suites[name], seeds) for name, rows in samples.items()}
    roles = {name: {**figures, "role": suites[name]["role"]} for name, figures in out.items()}
    return {"suites": out, "macro": macro_averages(roles, seeds)}


def check_complete(rows: Sequence[Row], suite: Mapping[str, Any], seeds: Sequence[int], path: Path) -> None:
    """Raises HarnessError unless canonical rows hold k samples of each of n problems for every seed, and a greedy one of
    each or of none."""
    n, k = suite["n"], suite["k"]
    for seed in seeds:
        for greedy, each in ((False, k), (True, 1)):
            own = [r for r in rows if r["seed"] == seed and r["greedy"] is greedy]
            if greedy and not own:
                continue
            starts = [r["problem"] for r in own[::each]]
            expected = [(problem, i) for problem in starts for i in range(each)]
            if len(set(starts)) != n or [(r["problem"], r["index"]) for r in own] != expected:
                what = "a greedy sample" if greedy else f"{k} samples"
                raise HarnessError(f"{path}: does not hold {what} of each of {n} problems for seed {seed}")


def _of_suite(rows: Sequence[Row], suite: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    flagged, parts = set(suite.get("flagged") or ()), {}
    by_seed: dict[int, list[Row]] = {seed: [] for seed in seeds}
    for row in rows:
        by_seed[row["seed"]].append(row)
    for seed, own in by_seed.items():
        clean = [r["score"] for r in own if r["problem"] not in flagged and not r["greedy"]] if flagged else []
        found = sample_metrics(own, suite["k"])
        found["pass_at"] = {str(k): v for k, v in found["pass_at"].items()}
        parts[seed] = {**found, "avg_clean": mean_or_none(clean)}
    return over_seeds(parts)


def _derived(suite: Mapping[str, Any]) -> dict[str, Any]:
    """What of a suite of result.json is derived from samples, as far as it is there."""
    keys = (
        "avg",
        "per_seed",
        "avg_clean",
        "per_seed_clean",
        "pass_at",
        "truncated",
        "unparsed",
        "grader_faults",
        "parity_avg",
        "disagreement",
        "greedy",
        "greedy_parity",
        "prompt_tokens",
        "generated_tokens",
    )
    return {key: suite[key] for key in keys if key in suite}


def difference(published: Any, found: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first published leaf that is not what was found: (dotted name, published, found). Numbers agree to 1e-9."""
    if isinstance(published, Mapping) and isinstance(found, Mapping):
        for key in published:
            name = f"{where}{dotted([key])}"
            if key not in found:
                return name, published[key], None
            if differ := difference(published[key], found[key], f"{name}."):
                return differ
        return None
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (published, found))
    same = abs(published - found) <= 1e-9 if numbers else type(published) is type(found) and published == found
    return None if same else (where.rstrip("."), published, found)


def confirm_grades(samples: Mapping[str, Sequence[Row]], where: str) -> int:
    """Grade all samples with the present graders; returns on how many a grader had failed when they were stored.

    Raises HarnessError, naming the first sample whose score, status or parity grade is another. Where the stored
    status is a grader's failure the present one may be any, but such a sample must count as wrong.
    """
    from harness.grading.graders import grade_many
    from harness.grading.parity import parity_many

    kinds = {name: load_suite(name).answer_type for name in samples}
    rows = [(name, row) for name, own in samples.items() for row in own]
    grades = grade_many([(row["completion"], row["gold"], kinds[name]) for name, row in rows])
    second = [i for i, (name, row) in enumerate(rows) if kinds[name] == "math"]
    parity = dict(zip(second, parity_many([(rows[i][1]["completion"], rows[i][1]["gold"]) for i in second]), strict=True))
    faults = 0
    for i, ((name, row), grade) in enumerate(zip(rows, grades, strict=True)):
        if row["status"] in FAULTS and row["score"] == 0:
            faults += 1
            found = {**row, "parity": parity.get(i)}
        else:
            found = {"score": grade.score, "status": grade.status, "parity": parity.get(i)}
        for key in GRADES:
            if row[key] != found[key] and not (key == "parity" and row[key] is None):
                which = f"problem {row['problem']}, seed {row['seed']}, sample {row['index']}"
                raise HarnessError(
                    visible(
                        f"{where}: {name}, {which}: {key} is {row[key]!r}, the graders here ({_graders()}) give {found[key]!r}"
                    )
                )
    return faults


def _graders() -> str:
    from harness.runs.environment import environment

    return f"math-verify {environment()['packages']['math-verify'] or 'missing'}"


# ---------------------------------------------------------------------- reading what is filed


def boards(root: Path) -> dict[Path, list[Path]]:
    """Filed runs by board: the folders `<training set>/<model>` below `root`, or `root` itself where it is one.

    Raises MissingError where there is none, HarnessError for a folder that is neither a run nor a board.
    """
    found: dict[Path, list[Path]] = {}
    for path in sorted(root.glob("*/manifest.json")) or sorted(root.glob("*/*/*/manifest.json")):
        if not path.parent.name.startswith("."):
            found.setdefault(path.parent.parent, []).append(path.parent)
    if not found:
        raise MissingError(f"no filed run below {root}: `harness leaderboard add RUN --board {root}` files one")
    return found


def load_filed(folder: Path, picks: int = 0) -> Entry:
    """A filed run, with the samples of `picks` problems a suite to show. Raises HarnessError."""
    import msgspec

    m = read_manifest(folder)
    try:
        result = result_of(folder, m)
        questions, shown = {}, {}
        for name in m["suites"] if m["evidence"] != "reported" else ():
            data = read_samples(folder, m, name)
            questions[name] = read_questions(data, folder / "samples" / f"{name}.jsonl.zst", result, name)
            shown[name] = _pick(data, questions[name], picks)
        curves = msgspec.convert(read_json(folder / "training.json"), dict[str, list[Curve]])
        templates = msgspec.convert(_rows(read_bytes(folder / "templates.jsonl")), list[dict[str, Any]])
        for row in templates:
            msgspec.convert(row, _Template)
        env = {"code": m["code"], "started": m["started"], "packages": m["packages"], **m["hardware"]}
    except UNREADABLE as e:
        raise HarnessError(visible(f"{folder} cannot be read: {e!r}")) from None
    return Entry(folder, result, questions, curves, templates, env, m["evidence"], shown)


def load_run(run: Path, picks: int = 0) -> Entry:
    """The same of a run directory, with prompts. Raises what `load_result` and `load_questions` raise."""
    result = load_result(run)
    questions, shown = {}, {}
    for name in result["suites"] if (run / "samples").is_dir() else ():
        path = run / "samples" / f"{name}.jsonl"
        data = _lines(canonical(read_jsonl(path), result["seeds"], True))
        questions[name] = read_questions(data, path, result, name)
        shown[name] = _pick(data, questions[name], picks)
    env = json.loads((run / "env.json").read_text()) if (run / "env.json").exists() else {}
    templates = [r for s in result["seeds"] for r in read_jsonl(run / "templates" / f"s{s}.jsonl")]
    return Entry(run, result, questions, _curves(run), templates, env, None, shown)


def _pick(data: bytes, q: Questions, most: int) -> list[Row]:
    """Sample 0 of the first seed on `most` problems: the same ones of every run, chosen by the hash of their id."""
    chosen = sorted(sorted(range(len(q.ids)), key=lambda i: sha256(q.ids[i].encode()))[:most])
    lines = data.split(b"\n", len(q.ids) * q.k) if chosen else []
    return [json.loads(lines[i * q.k]) for i in chosen]


# ---------------------------------------------------------------------- verification


def verify_run(folder: Path, data_dir: Path | None = None) -> Verified:
    """Check one filed run: files, grades, every figure of metrics.json; gold answers where the suite's data are at hand.

    Raises HarnessError at the first difference, naming file, field, published and found value.
    """
    m = read_manifest(folder)
    try:
        return _verified(folder, m, data_dir)
    except UNREADABLE as e:
        raise HarnessError(visible(f"{folder} cannot be read: {e!r}")) from None


def _verified(folder: Path, m: Mapping[str, Any], data_dir: Path | None) -> Verified:
    """Raises HarnessError, or anything where the content is not of the form that a filed run has."""
    check_files(folder, m)
    published = read_json(folder / "metrics.json")
    if m["evidence"] == "reported":
        found = macro_averages({n: {**published["suites"][n], "role": s["role"]} for n, s in m["suites"].items()}, m["seeds"])
        _agree(folder / "metrics.json", {"macro": published["macro"]}, {"macro": found})
        return Verified(m["run"], "reported", 0, 0, 0, ())
    samples: dict[str, list[Row]] = {}
    for name in m["suites"]:
        data = read_samples(folder, m, name)
        samples[name] = _rows(data)
        path = folder / "samples" / f"{name}.jsonl.zst"
        if canonical(samples[name], m["seeds"], True) != samples[name]:
            raise HarnessError(f"{path}: holds other rows or fields than a filed suite, or in another order")
        check_complete(samples[name], m["suites"][name], m["seeds"], path)
    golds = tuple(name for name in m["suites"] if _golds(folder, name, m, samples[name], data_dir))
    faults = confirm_grades(samples, str(folder / "samples"))
    found = derive(samples, m["suites"], m["seeds"])
    _agree(folder / "metrics.json", published, found)
    if missing := difference(found, published):
        raise HarnessError(f"{folder / 'metrics.json'}: {missing[0]} is {missing[2]!r}, the samples give {missing[1]!r}")
    return Verified(m["run"], m["evidence"], sum(map(len, samples.values())), _leaves(found), faults, golds)


def _agree(path: Path, published: Any, found: Any) -> None:
    if differ := difference(published, found):
        raise HarnessError(visible(f"{path}: {differ[0]} is {differ[1]!r}, the samples give {differ[2]!r}"))


def _golds(folder: Path, name: str, m: Mapping[str, Any], rows: Sequence[Row], data_dir: Path | None) -> bool:
    """Whether the suite's own data were at hand, and are what the run says it used. Raises HarnessError."""
    suite, said = load_suite(name), m["suites"][name]
    if said.get("data_sha256") is None or (suite.sha256 or said["data_sha256"]) != said["data_sha256"]:
        return False
    try:
        if suite.data_sha256(data_dir) != said["data_sha256"]:
            return False
        golds = {p.id: p.answer for p in suite.problems(data_dir)}
    except MissingError:
        return False
    for row in rows:
        if golds.get(row["problem"]) != row["gold"]:
            where = f"{folder / 'samples' / name}.jsonl.zst, problem {row['problem']}"
            raise HarnessError(visible(f"{where}: gold is {row['gold']!r}, the suite says {golds.get(row['problem'])!r}"))
    return True


def _leaves(tree: Any) -> int:
    return sum(map(_leaves, tree.values())) if isinstance(tree, Mapping) else 1


# ---------------------------------------------------------------------- bytes


def _json(value: Any) -> bytes:
    """In ASCII: nothing in it steers a terminal or a diff."""
    return (json.dumps(value, indent=1) + "\n").encode()


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _rows(data: bytes) -> list[Row]:
    """JSON lines. Raises ValueError."""
    import msgspec

    try:
        return msgspec.json.Decoder(dict[str, Any]).decode_lines(data)
    except msgspec.MsgspecError as e:
        raise ValueError(str(e)) from None
