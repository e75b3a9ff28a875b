"""Pages and tables of leaderboards and studies: pure functions of runs, the same bytes for the same runs.

One page holds all: tables that a script sorts and filters, plots, templates with their ancestry, a sample browser. It
reads without the script too, but for the samples. Whatever a model wrote is hostile: it enters the page as escaped text,
or as JSON in a data block whose `<`, `>` and `&` are escaped, and the script shows it as text only.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, MissingError, UsageError
from harness.core.tables import Table, compact, markdown_cell, points, visible
from harness.data.training_sets import solved_at
from harness.leaderboard import submit
from harness.leaderboard.submit import Entry
from harness.report import plots
from harness.report.report import CURVES, every_seed, excerpt, overview, render, render_report
from harness.runs import filed
from harness.runs.files import write_text
from harness.runs.result import is_filed, load_result, runs_below
from harness.stats.arms import check_identity, distinguishing_settings
from harness.stats.compare import (
    Comparison,
    Measure,
    budget_table,
    compare,
    protocol_table,
    sampled,
    scores_table,
    tests_table,
)

SAMPLES = 400
"""Shown on a page, at most, in SAMPLE_BYTES."""
SAMPLE_BYTES = 1_200_000
TEMPLATES = 400
"""Shown on a page, at most, of TEMPLATE_CHARS each."""
TEMPLATE_CHARS = 800
DEPTH = 24
"""Generations of templates that are indented."""
PANELS = 4
"""Learning curves of a page, in the order of CURVES."""

ComparableRuns = tuple[Comparison, list[Entry]]
"""Runs that can be compared, best first, and their comparison."""


def group(entries: Sequence[Entry]) -> list[ComparableRuns]:
    """Entries that share policy, problems, protocol and engine, as one comparison each; the largest first."""
    sets: list[list[Entry]] = []
    for entry in entries:
        for members in sets:
            try:
                check_identity([members[0].result, entry.result])
            except UsageError:
                continue
            members.append(entry)
            break
        else:
            sets.append([entry])
    out = []
    for members in sorted(sets, key=lambda s: -len(s)):
        ranked = sorted(members, key=lambda e: (-_rank(e.result), e.result["run"]))
        results = [e.result for e in ranked]
        threshold = solved_at(r["training_set"] for r in results)
        out.append((compare(results, None, threshold, [e.questions for e in ranked]), ranked))
    return out


def _rank(result: Mapping[str, Any]) -> float:
    macro = result["macro"]
    return next((macro[role] for role in ("ood", "id") if macro.get(role) is not None), 0.0)


def per_suite(entries: int, suites: int) -> int:
    """Problems of each suite whose samples a page shows."""
    return max(1, min(8, SAMPLES // max(1, entries * suites)))


# ---------------------------------------------------------------------- a board: built, and checked


def build(root: Path) -> list[Path]:
    """Write the tables and the page of every board below `root`; returns their folders. Raises as `render_board`."""
    found = submit.boards(root)
    for folder, runs in found.items():
        built = render_board(folder, runs)
        for stale in set(_built(folder)) - set(built):
            (folder / stale).unlink()
        for name, text in built.items():
            write_text(folder / name, text)
    return list(found)


def _built(folder: Path) -> list[str]:
    """Files of a board that are not a run's."""
    return sorted(p.name for p in folder.iterdir() if not p.is_dir())


def render_board(folder: Path, runs: Sequence[Path]) -> dict[str, str]:
    """The files of a board, by name: README.md, scores*.csv, .tex and .svg (one each per set that can be compared),
    index.html, index.json. Raises HarnessError where a filed run cannot be read."""
    manifests = {run: filed.read_manifest(run) for run in runs}
    for run, manifest in manifests.items():
        filed.check_files(run, manifest)
    suites = max(len(m["suites"]) for m in manifests.values())
    entries = [submit.load_filed(run, per_suite(len(runs), suites)) for run in runs]
    try:
        groups = group(entries)
        first = entries[0].result
        title = f"{first['training_set']}, {first['model']}"
        out = {"README.md": _markdown(title, groups), "index.html": page(title, "Leaderboard", groups)}
        for i, (comparison, _) in enumerate(groups):
            suffix = _suffix(i)
            out[f"scores{suffix}.svg"] = plots.picture(every_seed(comparison, [_main(comparison)]))
            out[f"scores{suffix}.csv"] = comparison.to_csv()
            out[f"scores{suffix}.tex"] = comparison.to_latex()
    except UNREADABLE as e:
        raise HarnessError(f"{folder} cannot be built, `harness leaderboard verify` says which run is wrong: {e!r}") from None
    hashes = {run.name: hashlib.sha256((run / "manifest.json").read_bytes()).hexdigest() for run in runs}
    index = {"schema": filed.SCHEMA, "matplotlib": version("matplotlib"), "manifests": hashes}
    return {**out, "index.json": json.dumps(index, indent=1) + "\n"}


def verify(root: Path, data_dir: Path | None = None) -> list[submit.Verified]:
    """Compute every published figure below `root` again, then check that what is built is what these runs give.

    Raises HarnessError at the first difference, naming the file, and what it says and should say.
    """
    out = []
    for folder, runs in submit.boards(root).items():
        _check_index(folder, runs)
        out += [submit.verify_run(run, data_dir) for run in runs]
        _check_built(folder, render_board(folder, runs))
    return out


def _check_index(folder: Path, runs: Sequence[Path]) -> None:
    """index.json holds the hash of every manifest: what else says that an evidence level or a date is the filed one?"""
    path = folder / "index.json"
    if not path.exists():
        raise HarnessError(f"{path} is missing: `harness leaderboard build` writes it")
    index = filed.read_json(path)
    said = index.get("manifests") if isinstance(index, dict) else None
    for run in runs:
        found = hashlib.sha256((run / "manifest.json").read_bytes()).hexdigest()
        published = said.get(run.name) if isinstance(said, dict) else None
        if published != found:
            raise HarnessError(
                f"{run / 'manifest.json'}: SHA-256 is {found}, index.json says {published!r}; after adding a run, build"
            )
    if gone := sorted(set(said) - {run.name for run in runs}):
        raise HarnessError(visible(f"{path}: names the run {gone[0]!r}, which is not there"))


def _check_built(folder: Path, built: Mapping[str, str]) -> None:
    found = {name: filed.read_bytes(folder / name).decode(errors="replace") for name in _built(folder)}
    drawn_by = filed.read_json(folder / "index.json").get("matplotlib")
    drawn_alike = drawn_by == version("matplotlib")
    for name in sorted(set(built) | set(found)):
        said, should = found.get(name), built.get(name)
        if said is None or should is None:
            raise HarnessError(f"{folder / name}: " + ("is missing" if said is None else "is not of this board"))
        if not drawn_alike and name == "index.json":
            should = json.dumps({**json.loads(should), "matplotlib": drawn_by}, indent=1) + "\n"
        elif not drawn_alike:  # another version draws the same numbers with other strokes
            said, should = _undrawn(said), _undrawn(should)
        if said != should:
            _name_difference(folder / name, said, should)


def _name_difference(path: Path, said: str, should: str) -> None:
    pairs = itertools.zip_longest(said.split("\n"), should.split("\n"), fillvalue="")
    line, (a, b) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = (text[max(0, at - 20) : at + 40] for text in (a, b))
    raise HarnessError(visible(f"{path}, line {line}: published {a!r}, its runs give {b!r}"))


def _undrawn(text: str) -> str:
    import re

    return re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


def _suffix(number: int) -> str:
    """Of the files of a board's n-th set of runs."""
    return f"-{number + 1}" if number else ""


def _main(c: Comparison) -> Measure:
    """What a board's picture shows: the OOD macro average, else that of the other role, else the first suite."""
    averages = {m.role: m for m in c.measures if m.protocol is None}
    return averages.get("ood") or averages.get("id") or c.measures[0]


def _markdown(title: str, groups: Sequence[ComparableRuns]) -> str:
    parts = [f"# {markdown_cell(title)}\n"]
    for i, (what, (comparison, entries)) in enumerate(zip(_titles(groups), groups, strict=True)):
        if len(groups) > 1:
            parts.append(f"## {markdown_cell(what)}\n")
        measure = markdown_cell(_main(comparison).title)
        parts.append(f"![{measure}: every seed of every arm, and the mean](scores{_suffix(i)}.svg)\n")
        parts += [f"> **Not a result.** {markdown_cell(stamp)}\n" for stamp in comparison.stamps]
        parts += [t.to_markdown() for t in (runs_table(comparison, entries), *comparison.tables)]
    return "\n".join(parts)


def _titles(groups: Sequence[ComparableRuns]) -> list[str]:
    """Of each set: what its runs have in common, in words, and what tells it from the others."""
    differ = distinguishing_settings([entries[0].result for _, entries in groups])
    return [_what(c) + (f"; {own}" if own else "") for (c, _), own in zip(groups, differ, strict=True)]


def _what(c: Comparison) -> str:
    suites = ", ".join(m.key for m in c.measures if m.protocol)
    return f"{len(c.arms)} run{'s' if len(c.arms) > 1 else ''} of model {c.model}, trained on {c.training_set}; suites {suites}"


# ---------------------------------------------------------------------- a run, or a study


def write_page(paths: Sequence[Path], out: Path | None) -> Path:
    """The page of one run, or of several runs and all runs below folders; returns where it is.

    Raises MissingError where no finished run is, UsageError where several folders, or a board, which holds nothing but what
    was filed and built, leave no default for `out`.
    """
    runs = list(dict.fromkeys(run for path in paths for run in runs_below(path)))
    if not runs:
        raise MissingError(f"no finished run at or below {', '.join(map(str, paths))}")
    if out is None:
        if len(paths) > 1 or any(map(is_filed, runs)):
            raise UsageError(f"{'several runs' if len(paths) > 1 else 'filed runs stay as they are'}: name the page with --out")
        out = paths[0] / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    if len(runs) == 1 and not is_filed(runs[0]):
        return write_text(out, render_report(runs[0])[0])
    suites = max(len(load_result(run)["suites"]) for run in runs)
    load = {run: submit.load_filed if is_filed(run) else submit.load_run for run in runs}
    entries = [load[run](run, per_suite(len(runs), suites)) for run in runs]
    return write_text(out, page(paths[0].resolve().name if len(paths) == 1 else "Runs", "Study", group(entries)))


# ---------------------------------------------------------------------- tables


def runs_table(c: Comparison, entries: Sequence[Entry]) -> Table:
    """A row per arm: which run it is, and whose work its scores rest on."""
    rows = []
    for arm, entry in zip(c.arms, entries, strict=True):
        code = entry.environment.get("code") or {}
        commit = (str(code["commit"])[:12] + (" and local changes" if code.get("dirty") else "")) if code else "not known"
        teacher, started = entry.result.get("teacher") or "", str(entry.environment.get("started") or "")[:10]
        seeds = ", ".join(map(str, arm.seeds))
        evidence = entry.evidence or "not filed"
        rows.append(
            (
                arm.label,
                evidence,
                entry.folder.name,
                str(entry.result.get("recipe")),
                seeds,
                teacher,
                commit,
                started,
                entry.result["spec_hash"][:12],
            )
        )
    header = ("arm", "evidence", "run", "recipe", "seeds", "teacher", "code", "started", "spec")
    return Table("Runs", header, "l" * len(header), rows)


def suite_table(c: Comparison, entries: Sequence[Entry], key: str) -> Table:
    """A row per arm: every seed's score on a suite, and what could make it misleading."""
    suites = [e.result["suites"][key] for e in entries]
    ks = sorted({k for s in suites for k in s.get("pass_at", {}) if k != "1"}, key=int)
    also = [("parity_avg", "parity score"), ("disagreement", "graders differ"), ("greedy", "greedy")]
    also = [(x, name) for x, name in also if any(s.get(x) is not None for s in suites)]
    header = ["arm", "score", *(f"pass@{k}" for k in ks), "tokens", "cut", "unparsed", "faults"]
    header += [*(name for _, name in also), "seeds"]
    rows = []
    for arm, s in zip(c.arms, suites, strict=True):
        drawn = s["n"] * (s["k"] + (s.get("greedy") is not None)) * len(arm.seeds)
        tokens = compact(s["generated_tokens"] / drawn) if "generated_tokens" in s else ""
        cells = [points(s["avg"]), *(_points(s.get("pass_at", {}).get(k)) for k in ks), tokens]
        cells += [_points(s.get("truncated")), _points(s.get("unparsed")), str(s.get("grader_faults", ""))]
        cells += [_points(s.get(x)) for x, _ in also]
        seeds = ", ".join(f"{seed}: {points(v)}" for seed, v in s["per_seed"].items())
        rows.append((arm.label, *cells, seeds))
    return Table(key, tuple(header), "l" + "r" * (len(header) - 2) + "l", rows)


def _points(share: float | None) -> str:
    return "" if share is None else points(share)


# ---------------------------------------------------------------------- the page


def page(title: str, kind: str, groups: Sequence[ComparableRuns]) -> str:
    """One self-contained page; its script is named by hash in the content security policy, so no other one runs."""
    from markupsafe import Markup

    script = (files("harness.report") / "templates" / "board.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    total = sum(len(rows) for _, entries in groups for e in entries for rows in e.picks.values())
    sections, data = [], []
    for what, (comparison, entries) in zip(_titles(groups), groups, strict=True):
        samples = _samples(comparison, entries, SAMPLE_BYTES // max(1, total))
        data.append(samples)
        sections.append(
            {
                "title": what,
                "stamps": comparison.stamps,
                "keys": [{"label": a.label, "colour": plots.colour(i)} for i, a in enumerate(comparison.arms)],
                "scores": scores_table(comparison),
                "tests": [tests_table(comparison)] if len(comparison.arms) > 1 else [],
                "overview": [*overview(comparison), *_budgets(comparison)],
                "curves": _curves(entries),
                "suites": [
                    {"title": m.title, "table": suite_table(comparison, entries, m.key)}
                    for m in comparison.measures
                    if m.protocol
                ],
                "templates": _templates(comparison, entries, sum(len(e) for _, e in groups)),
                "samples": len(samples),
                "rest": [budget_table(comparison), protocol_table(comparison), runs_table(comparison, entries)],
            }
        )
    return render(
        "board.html.j2", title=title, kind=kind, sections=sections, digest=digest, script=Markup(script), data=data_block(data)
    )


def data_block(value: Any) -> Any:
    """JSON that may stand in a `<script type="application/json">`: no text in it ends the element or opens a comment."""
    from markupsafe import Markup

    return Markup(_escaped(value))


def _escaped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _samples(c: Comparison, entries: Sequence[Entry], most: int) -> list[dict[str, Any]]:
    """Rows of the sample browser, each of `most` bytes at most, give or take; nothing in them steers a line."""
    out = []
    for arm, entry in zip(c.arms, entries, strict=True):
        for suite, rows in entry.picks.items():
            for row in rows:
                texts = {
                    k: _fit(str(row[k]), most // 2 if k in ("completion", "prompt") else most // 8)
                    for k in ("problem", "completion", "prompt", "answer", "gold")
                    if row.get(k) is not None
                }
                verdict = "right" if row["score"] >= 1.0 else "wrong"
                facts = [verdict, f"{row['tokens']} tokens", *(["truncated"] if row["truncated"] else [])]
                facts += [f"grading {row['status']}"] if row["status"] != "ok" else []
                facts += ["the graders differ"] if row.get("parity") not in (None, row["score"]) else []
                facts += [f"seed {row['seed']}"]
                out.append(
                    {
                        "arm": visible(arm.label),
                        "suite": suite,
                        "verdict": verdict,
                        "facts": visible(", ".join(map(str, facts))),
                        **texts,
                    }
                )
    return sorted(out, key=lambda s: (s["suite"], s["problem"]))


def _fit(text: str, most: int) -> str:
    """Spelled out, and cut to about `most` bytes as it stands in the page."""
    text = visible(text)
    size = len(_escaped(text).encode())
    return text if size <= most else excerpt(text, int(len(text) * most / size))


def _budgets(c: Comparison) -> list[dict[str, Any]]:
    """Score over sampled tokens, a plot per macro average; none where nothing was sampled for training."""
    from markupsafe import Markup

    tokens = [sampled(arm.budget)["sampled tokens"] for arm in c.arms]
    if not any(tokens):
        return []
    out = []
    for m in c.measures:
        if m.protocol is None:
            spots = []
            for i, arm in enumerate(c.arms):
                s = arm.scores[m.key]
                ends = (None, None) if s.low is None or s.high is None else (100 * s.low, 100 * s.high)
                seeds = [100 * v for v in s.per_seed.values()]
                spots.append(plots.Spot(tokens[i], 100 * s.mean, seeds, i, *ends))
            svg = Markup(plots.scatter(spots, "sampled tokens a seed", "score, percent points"))
            out.append({"title": f"{m.title} over budget; bar: 95% interval on new questions; small dots: seeds", "svg": svg})
    return out


def _curves(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    out = []
    for key, title in CURVES.items():
        lines = [plots.Line(x.x, x.y, i) for i, e in enumerate(entries) for x in e.curves.get(key, ()) if x.x]
        if lines and len(out) < PANELS:
            out.append({"title": title, "svg": Markup(plots.curves(lines, unit=key == "reward"))})
    return out


# ---------------------------------------------------------------------- templates and their ancestry


def _templates(c: Comparison, entries: Sequence[Entry], arms: int) -> list[dict[str, Any]]:
    """Of every arm the pools of its first seeds, as far as there is room: selected templates below their ancestors."""
    out = []
    for arm, entry in zip(c.arms, entries, strict=True):
        by_pool: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for row in entry.templates:
            by_pool.setdefault((row["seed"], row["epoch"]), []).append(row)
        pools, room = [], TEMPLATES // arms
        for (seed, epoch), rows in sorted(by_pool.items()):
            family = ancestry(rows)
            if len(family) > room:
                break
            room -= len(family)
            chosen = sum(row["selected"] for row in rows)
            name = f"seed {seed}, " + (f"after epoch {epoch + 1}" if epoch >= 0 else "before training")
            pools.append({"title": f"{name}: {chosen} selected of {len(rows)}", "roots": _trees(family)})
        if by_pool:
            left = len(by_pool) - len(pools)
            out.append({"arm": arm.label, "pools": pools, "left": f"{left} more pools are in templates.jsonl." if left else ""})
    return out


def ancestry(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int | None]]:
    """The selected templates of one pool and all they descend from, parents first: (row, position of its parent).

    The position is None for a row whose parent is not in the pool, or that would be an ancestor of itself.
    """
    by = {row["candidate"]: row for row in rows if row.get("candidate") is not None}
    out: list[tuple[Mapping[str, Any], int | None]] = []
    place: dict[int, int] = {}
    for row in rows:
        if not row["selected"]:
            continue
        line, at = [row], row.get("parent")
        if row.get("candidate") in place:
            continue
        seen = {row.get("candidate")}
        while at in by and at not in place and at not in seen:
            seen.add(at)
            line.append(by[at])
            at = by[at].get("parent")
        for one in reversed(line):
            out.append((one, place.get(one["parent"]) if one.get("parent") is not None else None))
            if one.get("candidate") is not None:
                place[one["candidate"]] = len(out) - 1
    return out


def _trees(family: Sequence[tuple[Mapping[str, Any], int | None]]) -> list[dict[str, Any]]:
    """Nested nodes; below DEPTH generations all are siblings."""
    nodes = [_node(row) for row, _ in family]
    roots, above = [], []
    for node, (_, parent) in zip(nodes, family, strict=True):
        while parent is not None and len(above[parent]) >= DEPTH:
            parent = above[parent][-1]
        above.append([] if parent is None else [*above[parent], parent])
        (roots if parent is None else nodes[parent]["children"]).append(node)
    return roots


def _node(row: Mapping[str, Any]) -> dict[str, Any]:
    score = row.get("mean_score")
    return {
        "text": excerpt(row["template"], TEMPLATE_CHARS) or "(the empty template)",
        "score": "unscored" if score is None else points(score),
        "selected": bool(row["selected"]),
        "children": [],
    }
