"""A finished run whose scores are known by hand, and what a forger does to a filed one."""

import hashlib
import json

from harness.core.ledger import Ledger
from harness.data.suites import load_suite
from harness.runs.filed import compress, read_samples, run_id, spec_sha256
from harness.runs.files import append_jsonl, write_json

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
                    {
                        "suite": SUITE.name,
                        "problem": p.id,
                        "index": j,
                        "greedy": False,
                        "prompt": p.text,
                        "completion": f"{text} ans {p.answer if good else 'no'}",
                        "answer": p.answer if good else "no",
                        "gold": p.answer,
                        "score": float(good),
                        "parity": None,
                        "status": "ok",
                        "truncated": False,
                        "prompt_tokens": 7,
                        "tokens": 5,
                        "prompt_sha256": "0" * 64,
                        "seed": seed,
                        "eval_seed": 1,
                    }
                )
    append_jsonl(path / "samples" / "tb-long.jsonl", rows)
    scores = {str(s): right[s][0] / 8 for s in seeds}
    both = {str(s): sum(2 * i < right[s][0] for i in range(4)) / 4 for s in seeds}
    avg = sum(scores.values()) / len(seeds)
    ledgers = {str(s): Ledger(rollouts=100, generated_tokens=2000).to_dict() for s in seeds}
    total = Ledger.total(Ledger(**x) for x in ledgers.values()).to_dict()
    suite = {
        "role": "ood",
        "title": SUITE.title,
        "data_sha256": SUITE.sha256,
        "n": 4,
        "k": 2,
        "temperature": 0.6,
        "max_new_tokens": 32,
        "avg": avg,
        "per_seed": scores,
        "flagged": [],
        "avg_clean": None,
        "per_seed_clean": {},
        "pass_at": {"1": avg, "2": sum(both.values()) / len(seeds)},
        "truncated": 0.0,
        "unparsed": 0.0,
        "grader_faults": 0,
        "parity_avg": None,
        "disagreement": None,
        "greedy": None,
        "greedy_parity": None,
        "prompt_tokens": 56 * len(seeds),
        "generated_tokens": 40 * len(seeds),
    }
    macro = {"id": None, "ood": avg, "per_seed": {s: {"id": None, "ood": v} for s, v in scores.items()}}
    spec = {"method": method, "seeds": seeds, "model": {"revision": None}, **(spec or {})}
    write_json(path / "spec.json", {"hash": spec_sha256(spec), "spec": spec})
    env = {
        "packages": {"torch": "2"},
        "cpus": 2,
        "started": "2026-01-02T03:04:05+00:00",
        "code": {"commit": "c" * 40, "dirty": False},
        "commands": ["harness run --out /home/somebody/x"],
    }
    write_json(path / "env.json", env)
    write_json(
        path / "result.json",
        {
            "run": str(path),
            "method": method,
            "model": "testbed",
            "recipe": "testbed",
            "training_set": "testbed",
            "problems_sha256": "1" * 64,
            "spec_hash": spec_sha256(spec),
            "seeds": seeds,
            "not_a_result": stamp,
            "identity": {"graders": {}},
            "suites": {"tb-long": suite},
            "macro": macro,
            "ledger": total,
            "ledgers": ledgers,
            "teacher": None,
            "teacher_tokens": 0,
        },
    )
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
    manifest = json.loads((folder / "manifest.json").read_text())
    return [json.loads(line) for line in read_samples(folder, manifest, "tb-long").splitlines()]


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
    m["run"] = run_id(m)
    path.write_text(json.dumps(m))
    new = folder.rename(folder.parent / m["run"])
    index = json.loads((folder.parent / "index.json").read_text())
    index["manifests"].pop(folder.name)
    index["manifests"][m["run"]] = hashlib.sha256((new / "manifest.json").read_bytes()).hexdigest()
    (folder.parent / "index.json").write_text(json.dumps(index))
    return new
