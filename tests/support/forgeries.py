"""What a forger does to a filed run, one case a line of what a board promises, each refiled with every hash right.

A case changes the manifest's tree and the sample rows. `refile` then derives the figures again, packs the samples, gives the
run the id that its content has, and indexes the board anew, as somebody would who has read the code.
"""

import hashlib
import json
import random
from pathlib import Path

from harness.leaderboard.figures import derive
from harness.runs import formats
from harness.runs.filed import read_manifest, samples_name, spec_sha256
from harness.runs.packing import compress
from harness.runs.result import SuiteFacts
from harness.runs.samples import decode_filed
from support.boards import SUITE, id_of, sample_rows

NAME = SUITE.name


def refile(folder, m, rows):
    """Write a forged manifest and its samples with all hashes and figures right; returns the run's folder, renamed."""
    rows = sorted(rows, key=lambda r: (r["seed"], r["greedy"], r["problem"], r["index"]))
    data = "".join(json.dumps(r) + "\n" for r in rows).encode()
    (folder / samples_name(NAME)).write_bytes(compress(data))
    facts = {"rows": len(rows), "content_bytes": len(data), "content_sha256": hashlib.sha256(data).hexdigest()}
    m["files"][samples_name(NAME)] |= facts
    suites = {name: formats.msgspec.convert(s, SuiteFacts) for name, s in m["suites"].items()}
    try:
        metrics = derive({NAME: decode_filed(data, Path("rows"))}, suites, m["seeds"])
        (folder / "metrics.json").write_text(json.dumps(formats.tree(metrics)))
    except (KeyError, IndexError, ZeroDivisionError):
        pass  # the rows are no suite; the old figures stay
    m["spec_sha256"] = spec_sha256(m["spec"])
    for name, f in m["files"].items():
        data = (folder / name).read_bytes()
        f |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    m["run"] = id_of(m)
    (folder / "manifest.json").write_text(json.dumps(m))
    new = folder.rename(folder.parent / m["run"])
    index = json.loads((folder.parent / "index.json").read_text())
    index["manifests"].pop(folder.name)
    index["manifests"][m["run"]] = hashlib.sha256((new / "manifest.json").read_bytes()).hexdigest()
    (folder.parent / "index.json").write_text(json.dumps(index))
    return new


def forged(folder, change):
    """Apply a case of FORGERIES; returns the forged run's folder."""
    read_manifest(folder)
    m, rows = json.loads((folder / "manifest.json").read_text()), sample_rows(folder)
    return refile(folder, m, change(m, rows) or rows)


def copied(alter=lambda row, i: row, shift=0, only=None):
    """Every other seed's samples are seed 0's, those of a problem `shift` places on."""

    def change(m, rows):
        first = {(r["problem"], r["index"]): r for r in rows if r["seed"] == 0}
        k = m["suites"][NAME]["k"]
        out = []
        for i, r in enumerate(rows):
            if r["seed"] == 0 or (only is not None and r["seed"] != only):
                out.append(r)
            else:
                own = first[r["problem"], (r["index"] + shift) % k]
                out.append(alter({**own, "seed": r["seed"], "index": r["index"]}, i))
        return out

    return change


def reworded(row, i):
    """Other words before the same answer."""
    text = f"{random.Random(i).random():.9f} {row['completion']}"
    return {**row, "completion": text, "tokens": row["tokens"] + 1}


def best_half(m, rows):
    total = {}
    for r in rows:
        total[r["problem"]] = total.get(r["problem"], 0) + r["score"]
    kept = sorted(sorted(total, key=lambda p: -total[p])[: len(total) // 2])
    m["suites"][NAME]["n"] = len(kept)
    return [r for r in rows if r["problem"] in kept]


def first_half(m, rows):
    ids = sorted({r["problem"] for r in rows})
    kept = ids[: len(ids) // 2]
    m["suites"][NAME]["n"] = m["spec"]["eval"]["limit"] = len(kept)
    return [r for r in rows if r["problem"] in kept]


def limited_best(m, rows):
    rows = best_half(m, rows)
    m["spec"]["eval"]["limit"] = n = m["suites"][NAME]["n"]
    m["not_a_result"] = f"only the first {n} problems of each suite were evaluated (--limit)"
    return rows


def each(**fields):
    """Every row gets these fields, of which functions are called with the row."""

    def change(m, rows):
        return [{**r, **{k: v(r) if callable(v) else v for k, v in fields.items()}} for r in rows]

    return change


def one(at=0, **fields):
    def change(m, rows):
        rows[at] |= fields

    return change


def right(rows):
    return next(i for i, r in enumerate(rows) if r["score"] == 1.0)


def golds(sha256):
    """Gold answers rewritten to what the model answered, under a hash of the data."""

    def change(m, rows):
        m["suites"][NAME]["data_sha256"] = sha256(m["suites"][NAME]["data_sha256"])
        return [{**r, "gold": r["answer"], "score": 1.0} for r in rows]

    return change


def field(path, value):
    """A field of the manifest by its dotted name; `NAME` in it stands for the suite."""

    def change(m, rows):
        *heads, last = (NAME if key == "NAME" else key for key in path.split("."))
        at = m
        for key in heads:
            at = at[key]
        at[last] = value(at[last]) if callable(value) else value

    return change


def ledgers(**entries):
    """Entries of every seed's ledger, of which functions are called with the old one; totals follow."""

    def change(m, rows):
        for ledger in m["ledgers"].values():
            ledger |= {k: v(ledger[k]) if callable(v) else v for k, v in entries.items()}
        m["ledger"] = {k: sum(x[k] for x in m["ledgers"].values()) for k in m["ledger"]}

    return change


def together(*changes):
    def change(m, rows):
        for c in changes:
            rows = c(m, rows) or rows
        return rows

    return change


def without_seed(gone):
    def change(m, rows):
        m["seeds"] = m["spec"]["seeds"] = [s for s in m["seeds"] if s != gone]
        m["ledgers"].pop(str(gone))
        m["ledger"] = {k: sum(x[k] for x in m["ledgers"].values()) for k in m["ledger"]}
        return [r for r in rows if r["seed"] != gone]

    return change


def status(m, rows):
    rows[right(rows)]["status"] = "unparsed"


def timeout_that_scores(m, rows):
    i = next(i for i, r in enumerate(rows) if r["score"] == 0.0)
    rows[i] |= {"status": "timeout", "score": 1.0}


def shown_answer(m, rows):
    rows[right(rows)]["answer"] = "something else"


def shown_answer_of_a_timeout(m, rows):
    rows[next(i for i, r in enumerate(rows) if r["score"] == 0.0)] |= {"status": "timeout", "answer": "something else"}


def repeated_problem(m, rows):
    ids = sorted({r["problem"] for r in rows})
    return [{**r, "problem": ids[0]} if r["problem"] == ids[1] else r for r in rows]


def unknown_problem(m, rows):
    return [{**r, "problem": "tb-long-99999"} if r["problem"] == "tb-long-00159" else r for r in rows]


def told_by(model):
    """The offline writer of templates was a server's model, which is told the answers."""
    return field("spec.method_config.reflector", lambda r: {**r, "kind": "openai", "model": model, "base_url": "http://x/v1"})


OTHER = "0" * 64
FORGERIES = {  # what is forged, and what verify says
    # seeds
    "a seed copied to the others": (copied(), "copies"),
    "a seed copied to one other": (copied(only=2), "seeds 0 and 2 .* copies"),
    "a seed copied in another order": (copied(shift=1), "copies"),
    "a seed copied with other words before each answer": (copied(reworded), "same answers .* copies"),
    "a seed copied with spaces added": (copied(lambda r, i: {**r, "completion": r["completion"] + " " * (i % 7)}), "copies"),
    "the best seeds alone": (without_seed(0), r"seeds is \[1, 2\], its settings give \[0, 1\]"),
    "a seed in the middle left out": (without_seed(1), r"seeds is \[0, 2\]"),
    # problems, prompts, golds
    "the best half of a suite": (best_half, "tb-long.n is 80, its settings give 160"),
    "the first half, without the stamp": (first_half, "not_a_result is None, but only the first 80 problems"),
    "the best half as if it were the first, with the stamp": (limited_best, "the suite has no such problem"),
    "a problem twice": (repeated_problem, "does not hold 2 samples of each of 160 problems"),
    "a problem that the suite does not have": (unknown_problem, "tb-long-99999.*: the suite has no such problem"),
    "prompts changed": (
        each(
            prompt=lambda r: r["prompt"] + " =",
            prompt_sha256=lambda r: hashlib.sha256((r["prompt"] + " =").encode()).hexdigest(),
        ),
        "its prompt is not what the suite and the run's settings give",
    ),
    "a prompt replaced, and a hash that is none": (one(prompt="ans 1 2", prompt_sha256="none"), "prompt_sha256 is 'none'"),
    "a prompt replaced under the old hash": (one(prompt="ans 1 2"), "prompt_sha256 is .* its prompt gives"),
    "prompts taken out": (lambda m, rows: [{k: v for k, v in r.items() if k != "prompt"} for r in rows], "prompt is missing"),
    "golds rewritten": (golds(lambda old: old), "gold is .* the suite says"),
    "golds rewritten, no hash": (golds(lambda old: None), "data_sha256 is None"),
    "golds rewritten, another hash": (golds(lambda old: OTHER), f"data_sha256 is '{OTHER}', its settings give"),
    "another title": (field("suites.NAME.title", "Mathematics"), "title is 'Mathematics'"),
    "another role": (field("suites.NAME.role", "id"), "tb-long.role is 'id', its settings give 'ood'"),
    "no role": (field("suites.NAME.role", "other"), "tb-long.role is 'other'"),
    "a suite left out": (field("spec.eval.bench", "tb-long,tb-id"), r"suites is \['tb-long'\], its settings give"),
    "flagged problems invented": (
        field("suites.NAME.flagged", ["tb-long-00000"]),
        r"flagged is \['tb-long-00000'\], .* give \[\]",
    ),
    # decoding and lengths
    "another temperature": (field("suites.NAME.temperature", 0.1), "temperature is 0.1, its settings give 0.6"),
    "greedy decoding": (field("spec.eval.decoding", {"kind": "greedy"}), "k is 2, its settings give 1"),
    "more samples than were drawn": (field("spec.eval.decoding.k", 4), "k is 2, its settings give 4"),
    "a shorter length": (
        together(field("suites.NAME.max_new_tokens", 3), field("spec.eval.max_new_tokens", 3)),
        "tokens is 4 of at most 3",
    ),
    "fewer tokens than a text has": (each(tokens=0), "tokens is 0 of at most"),
    "one long answer to everything": (
        each(completion="so " * 70 + "ans no", answer="no", score=0.0),
        "come again word for word",
    ),
    "prompt tokens": (one(prompt_tokens=1), "for the same prompt elsewhere"),
    # ledgers
    "negative tokens": (ledgers(generated_tokens=-1), "ledger of seed 0: generated_tokens is -1"),
    "negative seconds": (ledgers(wall_seconds=-1.0), "wall_seconds is -1.0"),
    "no seconds": (ledgers(wall_seconds=0.0), "wall_seconds is 0"),
    "a tenth of the rollouts": (
        ledgers(rollouts=lambda x: x // 10),
        "generated_tokens at full length|107 optimiser steps imply",
    ),
    "a tenth of everything": (
        ledgers(**dict.fromkeys(("rollouts", "optimiser_steps", "generated_tokens", "trained_tokens"), lambda x: x // 10)),
        "rollouts is 1,027, and its settings go on to",
    ),
    "fewer tokens than rollouts": (ledgers(generated_tokens=10, trained_tokens=10), "generated_tokens is 10, less than one a"),
    "fewer tokens than were trained on": (ledgers(generated_tokens=20_000), "less than its trained_tokens imply"),
    "fewer rollouts than the curves": (
        together(
            field("spec.train.max_rollouts", 5),
            ledgers(rollouts=5, optimiser_steps=0, generated_tokens=9, trained_tokens=0, prompt_tokens=9),
        ),
        "training.json: reward of seed 0 goes on to 9 rollouts, which its ledger does not have",
    ),
    # what it says of itself
    "another model": (field("model", "qwen3-4b"), "model is 'qwen3-4b', its settings give 'testbed'"),
    "another training set": (field("training_set", "gsm8k"), "training_set is 'gsm8k', its settings give 'testbed'"),
    "another method": (field("method", "p2o-plus"), "method is 'p2o-plus', its settings give 'p2o'"),
    "another recipe": (field("recipe", "paper"), "recipe is 'paper', its settings give 'testbed'"),
    "a teacher invented": (field("teacher", "gpt"), "teacher is 'gpt', its settings give None"),
    "a reflector renamed": (
        together(told_by("big"), field("teacher", "small"), field("reference", "answer")),
        "teacher is 'small', its settings give 'big'",
    ),
    "a reflector hidden": (together(told_by("big"), field("reference", "answer")), "teacher is None, its settings give 'big'"),
    "answers shown to a reflector": (together(told_by("testbed")), "reference is 'none', its settings give 'answer'"),
    "the solutions' writer": (field("reference_source", "human"), "reference_source is 'human'"),
    "other training problems": (field("problems_sha256", OTHER), "its training problems are not those of the set"),
    "no training problems": (field("problems_sha256", None), "its training problems are not those of the set"),
    "a rehearsal without the stamp": (field("spec.backend.rehearse", True), "not_a_result is None, but it is a rehearsal"),
    "a stopped seed without the stamp": (field("stopped", {"1": "NaN"}), "not_a_result is None, but the training of seed 1"),
    "a setting that there is not": (field("spec.train.magic", 1), "another version of the harness: .*magic"),
    "a margin of one's own": (lambda m, rows: m.update(margin=0.1), "unknown field `margin`"),
    "an evidence level of one's own": (lambda m, rows: m.update(evidence="retrained"), "unknown field `evidence`"),
    # grades
    "a status": (status, "status is 'unparsed', the graders here"),
    "a timeout that scores": (timeout_that_scores, "score is 1.0, the graders here"),
    "a shown answer": (shown_answer, "answer is 'something else', the graders here"),
    "a shown answer of a timeout": (shown_answer_of_a_timeout, "answer is 'something else'"),
}


READING = """# What the board says

{from testbed/scores}

| arm | score | seeds solved |
|---|---:|---:|
| {arm} | {OOD macro average; arm; score} | {OOD macro average; arm; solved} |

P2O scores {OOD macro average; p2o; score} points, [all tables](testbed/scores.csv), as the study has it:
{from study}
{OOD macro average; p2o; difference} ({OOD macro average; p2o; new questions}).

    harness leaderboard verify
"""
"""A reading of the board that test_forgeries.py builds: P2O has 50.0 points, GRPO 25.0."""

READING_FORGERIES = {  # file of the training set's folder, what is replaced there and by what, and what verify says
    "a figure in the built reading": (
        "README.md",
        "P2O scores 50.0",
        "P2O scores 52.0",
        "README.md, line 11: published .*52.0",
    ),
    "arms exchanged in a reading's table": ("README.md", "| grpo | 25.0 |", "| grpo | 50.0 |", "README.md, line 9: .*50.0"),
    "a figure by hand": (
        "reading.md",
        "points,",
        "points of 81.9,",
        "reading.md, line 9: the figure '81.9,' is written by hand",
    ),
    "a figure by hand, in another script": ("reading.md", "points,", "points of \u0668\u0661,", "line 9: the figure"),
    "a fraction by hand": ("reading.md", "points,", "points, \u00bd more,", "line 9: the figure"),
    "a figure by hand, as an entity": ("reading.md", "points,", "points of &frac12;,", "without HTML or pictures"),
    "a picture with figures": ("reading.md", "[all tables]", "![all tables]", "without HTML or pictures"),
    "a share by hand": ("reading.md", "points,", "points in 3/3 seeds,", "the figure '3/3'"),
    "a figure as code": ("reading.md", "points,", "points, `81`,", "the figure '`81`,'"),
    "a figure below a command": ("reading.md", "leaderboard verify", "leaderboard verify 81.9", "the figure '81.9'"),
    "another arm's figure": (
        "reading.md",
        "average; p2o; score} points",
        "average; grpo; score} points",
        "README.md, line 11: ",
    ),
    "a figure that stands nowhere": (
        "reading.md",
        "average; p2o; score} points",
        "average; gepa; score} points",
        "names 0 rows",
    ),
    "a row that is not named whole": ("reading.md", "average; p2o; score} points", "average; score} points", "names 2 rows"),
    "a column that is none": ("reading.md", "p2o; score} points", "p2o; best} points", "line 9: there is no column 'best'"),
    "a table that is none": ("reading.md", "{from study}", "{from ../study}", "line 10: there is no table '../study'"),
    "a figure in a study's page": ("study.md", "+25.0", "+35.0", "study.md, line .*35.0"),
    "a mean in a study's file": ("study.json", '"mean":0.5', '"mean":0.7', "study.json .*mean of p2o on macro:ood is 0.7"),
    "a difference in a study's file": ("study.json", '"difference":0.25', '"difference":0.35', "difference of p2o on"),
    "a verdict in a study's file": (
        "study.json",
        '"verdict":"undecided"',
        '"verdict":"gain"',
        "verdict of p2o on macro:ood is gain",
    ),
    "an interval in a study's file": ("study.json", '"fixed":{"low":-', '"fixed":{"low":-1', "low of p2o on macro:ood is -1"),
    "a level of a study's own": ("study.json", '"alpha":0.05', '"alpha":0.5', "alpha is 0.5, and intervals are 95% or wider"),
    "a study's file with nothing in it": ("study.json", '"comparisons"', '"others"', "study.json is no study's file"),
    "a page that nothing was built from": ("notes.md", "", "P2O scores 81.9", "notes.md: nothing checks its figures"),
    "a picture beside the boards": ("scores.svg", "", "<svg>81.9</svg>", "scores.svg: nothing checks its figures"),
}

RULES_FORGERIES = {  # what a board's rules are replaced by after it was built, and what verify says
    "another margin": ('{"schema": 1, "margin": 1, "why": "It is small."}', r"README.md, line 3: published '.*is 9 points"),
    "another reason": ('{"schema": 1, "margin": 9, "why": "Because."}', r"README.md, line 3: published '.*It is large"),
    "no rules any more": ('{"schema": 1}', r"README.md, line 3: published '.*is 9 points"),
    "a margin without a reason": ('{"schema": 1, "margin": 9}', "a margin needs its reason"),
    "a reason that is blank": ('{"schema": 1, "margin": 9, "why": " "}', "a margin needs its reason"),
    "a reason without a margin": ('{"schema": 1, "why": "It is large."}', "a margin needs its reason"),
    "a margin of nothing": ('{"schema": 1, "margin": 0, "why": "It is large."}', "above 0 and at most 100 points"),
    "a margin that is no number": ('{"schema": 1, "margin": NaN, "why": "It is large."}', "rules.json cannot be read"),
    "a rule that there is not": ('{"schema": 1, "alpha": 0.5}', "unknown field `alpha`"),
}
