"""A finished run whose scores are known by hand, and what a forger does to a filed one."""

import hashlib
import json
import random

import msgspec

from harness.config import RunSpec
from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.trees import merge
from harness.data.problems import content_sha256
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.runs.environment import Code, write_environment
from harness.runs.filed import FiledFile, read_manifest, read_packed, run_id, spec_sha256
from harness.runs.files import append_jsonl
from harness.runs.packing import compress
from support.results import environment, result, sample
from support.runs import write_run
from support.settings import resolve

HOSTILE = '</script><script>window.hit=1</script><img src=x onerror="hit=1"> \u202eevil\u2066 \u0007 --> <!-- & \'"'


SUITE = load_suite("tb-long")


PROBLEMS = SUITE.problems(None)

SHOWN = sorted(PROBLEMS, key=lambda p: hashlib.sha256(p.id.encode()).hexdigest())[:8]
"""What a page shows of a suite, at most."""


def make_run(path, method="p2o", right=(3, 5, 4), text="", stamp=None, template="a hint", spec=None, room=SUITE.max_new_tokens):
    """A finished run of the whole suite with 2 samples each. `right`: by seed, how many of every 8 are correct, so that scores
    are known by hand: of 4 problems, as many as can be are right twice. Which problems, and which of their samples, is drawn
    for each seed. `text` stands before the answers that a page may show; `room` is the longest answer allowed, in tokens."""
    seeds = list(range(len(right)))
    most = max(room, len(text.encode()) // 100)
    decoding = {"kind": "sampled", "k": 2}
    flags = {"eval": {"bench": SUITE.name, "decoding": decoding, "max_new_tokens": most}, "seeds": seeds}
    tree = merge(resolve(method, flags=flags).model_dump(mode="json"), spec or {})
    typed = RunSpec(**tree)
    rows = []
    for seed in seeds:
        rng = random.Random(seed)
        order = rng.sample(range(len(PROBLEMS)), len(PROBLEMS))
        for i, p in zip(order, PROBLEMS, strict=True):
            correct = [2 * (i % 4) + j < right[seed] for j in range(2)]
            rng.shuffle(correct)
            prompt = insert(f"{template} more", p.text) if method == "gepa" else p.text
            for j, good in enumerate(correct):
                answer = p.answer if good else "no"
                said = text if seed == 0 and j == 0 and p in SHOWN else ""
                completion = f"{said} ans {answer}"
                rows.append(
                    sample(
                        problem=p.id,
                        index=j,
                        prompt=prompt,
                        prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
                        prompt_tokens=len(prompt.split()),
                        completion=completion,
                        answer=answer,
                        gold=p.answer,
                        tokens=most if said else 4,
                        score=float(good),
                        seed=seed,
                    )
                )
    scores = {s: right[s] / 8 for s in seeds}
    both = {s: sum(2 * i < right[s] for i in range(4)) / 4 for s in seeds}
    avg = sum(scores.values()) / len(seeds)
    search = 10152 if method == "gepa" else 0
    found = result(
        method,
        scores,
        stamp=stamp,
        ledger=Ledger(
            rollouts=search or 10272,
            search_rollouts=search,
            prompt_tokens=195168,
            generated_tokens=52000,
            trained_tokens=0 if search else 52000,
            optimiser_steps=0 if search else 107,
            wall_seconds=10.0,
        ),
        title=SUITE.title,
        data_sha256=SUITE.sha256,
        n=len(PROBLEMS),
        k=2,
        max_new_tokens=most,
        pass_at={1: avg, 2: sum(both.values()) / len(seeds)},
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        generated_tokens=sum(row.tokens for row in rows),
    )
    own = {
        "run": str(path),
        "spec_hash": spec_sha256(tree),
        "problems_sha256": content_sha256(load_training_set("testbed").problems(typed, None)),
        "identity": {"graders": {}},
        "reference": "none",
        "reference_source": "none",
    }
    write_run(path, msgspec.structs.replace(found, **own), rows, tree)
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
