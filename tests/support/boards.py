"""A finished run whose scores are known by hand, and what a forger does to a filed one."""

import hashlib
import json

import msgspec

from harness.core.ledger import Ledger
from harness.data.suites import load_suite
from harness.runs.environment import Code, write_environment
from harness.runs.filed import FiledFile, read_manifest, read_packed, run_id, spec_sha256
from harness.runs.files import append_jsonl
from harness.runs.packing import compress
from support.results import environment, result, sample
from support.runs import write_run

HOSTILE = '</script><script>window.hit=1</script><img src=x onerror="hit=1"> \u202eevil\u2066 \u0007 --> <!-- & \'"'


SUITE = load_suite("tb-long")


PROBLEMS = SUITE.problems(None)[:4]


def make_run(path, method="p2o", right=((3, 4), (5, 6)), text="", stamp=None, template="a hint", spec=None):
    """A finished run of 4 problems with 2 samples each: `right` are the correct ones of 8, by seed (scores by hand: /8)."""
    seeds = list(range(len(right)))
    rows = []
    for seed, (count, _) in enumerate(right):
        for i, p in enumerate(PROBLEMS):
            for j in range(2):
                good = 2 * i + j < count
                rows.append(
                    sample(
                        problem=p.id,
                        index=j,
                        prompt=p.text,
                        completion=f"{text} ans {p.answer if good else 'no'}",
                        answer=p.answer if good else "no",
                        gold=p.answer,
                        score=float(good),
                        seed=seed,
                    )
                )
    scores = {s: right[s][0] / 8 for s in seeds}
    both = {s: sum(2 * i < right[s][0] for i in range(4)) / 4 for s in seeds}
    avg = sum(scores.values()) / len(seeds)
    spec = {"method": method, "seeds": seeds, "model": {"revision": None}, **(spec or {})}
    found = result(
        method,
        scores,
        stamp=stamp,
        ledger=Ledger(rollouts=100, generated_tokens=2000),
        title=SUITE.title,
        data_sha256=SUITE.sha256,
        n=4,
        k=2,
        pass_at={1: avg, 2: sum(both.values()) / len(seeds)},
        prompt_tokens=56 * len(seeds),
        generated_tokens=40 * len(seeds),
    )
    own = {"run": str(path), "spec_hash": spec_sha256(spec), "problems_sha256": "1" * 64, "identity": {"graders": {}}}
    write_run(path, msgspec.structs.replace(found, **own), rows, spec)
    code, commands = Code("c" * 40, False), ["harness run --out /home/somebody/x"]
    write_environment(path, environment(packages={"torch": "2"}, code=code, commands=commands))
    for seed in seeds:
        curve = [{"seed": seed, "kind": "batch", "epoch": 0, "batch": b, "reward": b / 9, "rollouts": b + 1} for b in range(9)]
        append_jsonl(path / "metrics.jsonl", curve)
        at = {"seed": seed, "epoch": 0}
        family = [("", None, False), (template, 0, False), (f"{template} more", 1, True), ("lonely", 0, False)]
        append_jsonl(
            path / "templates" / f"s{seed}.jsonl",
            [
                {**at, "candidate": i, "template": t, "parent": up, "mean_score": 0.1 * i, "selected": chosen}
                for i, (t, up, chosen) in enumerate(family)
            ],
        )
    return path


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def sample_rows(folder):
    return [json.loads(line) for line in read_packed(folder, read_manifest(folder), "tb-long").splitlines()]


def id_of(m):
    """The id that a manifest's tree should have."""
    files = {name: msgspec.convert(f, FiledFile) for name, f in m["files"].items()}
    return run_id(m["method"], m["spec_sha256"], m["seeds"], files)


def reseal(folder, rows=None, **fields):
    """What a careful forger does: every hash and the run's id fit again, and the board is indexed anew."""
    path = folder / "manifest.json"
    m = {**json.loads(path.read_text()), **fields}
    if rows is not None:
        data = "".join(json.dumps(r) + "\n" for r in rows).encode()
        (folder / "samples" / "tb-long.jsonl.zst").write_bytes(compress(data))
        facts = {"rows": len(rows), "content_bytes": len(data), "content_sha256": hashlib.sha256(data).hexdigest()}
        m["files"]["samples/tb-long.jsonl.zst"] |= facts
    for name, f in m["files"].items():
        data = (folder / name).read_bytes()
        f |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    m["run"] = id_of(m)
    path.write_text(json.dumps(m))
    new = folder.rename(folder.parent / m["run"])
    index = json.loads((folder.parent / "index.json").read_text())
    index["manifests"].pop(folder.name)
    index["manifests"][m["run"]] = hashlib.sha256((new / "manifest.json").read_bytes()).hexdigest()
    (folder.parent / "index.json").write_text(json.dumps(index))
    return new
