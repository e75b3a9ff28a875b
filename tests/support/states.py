"""Folders in every state that a command may find: what it was told may be anything."""

import json
import shutil

from harness.config import resolve_eval
from harness.runs.files import write_json
from harness.runs.rundir import RunDir
from support.boards import make_run
from support.settings import resolve

SETTINGS = ("train.epochs=0", "testbed.problems=16", "eval.decoding={kind: sampled, k: 2}")
BENCH = "tb-long"


def spec():
    """Of the runs below; `COMMAND` starts the same."""
    return resolve("grpo", sets=SETTINGS, flags={"eval": {"bench": BENCH}, "seeds": [0, 1, 2]})


COMMAND = ("run", "--method", "grpo", "--bench", BENCH, "--seeds", "0,1,2", *(w for s in SETTINGS for w in ("--set", s)))


def finished(path):
    make_run(path, "grpo", spec=spec().model_dump(mode="json"))
    (path / "report.html").write_text("<html></html>")


def running(path):
    RunDir(path).write_spec(spec())


def evaluation(path):
    made = resolve_eval(
        [], [], {"model": {"id": "testbed"}, "train_set": "testbed"}, {"eval": {"bench": BENCH}, "seeds": [0, 1, 2]}
    )
    finished(path)
    (path / "spec.json").unlink()
    RunDir(path).write_spec(made)


def edited(name, change):
    def state(path):
        finished(path)
        tree = json.loads((path / name).read_text())
        write_json(path / name, change(tree) or tree)

    return state


def damaged(name, harm):
    def state(path):
        finished(path)
        harm(path / name)

    return state


def folder_instead(path):
    path.unlink()
    path.mkdir()


HARMS = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "no JSON": lambda p: p.write_text("half a sentence\n"),
    "a list": lambda p: p.write_text("[1, 2]\n"),
    "an empty object": lambda p: p.write_text("{}\n"),
    "brackets": lambda p: p.write_text("[" * 100_000 + "\n"),
    "binary": lambda p: p.write_bytes(bytes(range(256)) * 4 + b"\n"),
    "empty": lambda p: p.write_bytes(b""),
    "missing": lambda p: p.unlink(),
    "a folder": folder_instead,
}
FILES = {
    **dict.fromkeys(("spec.json", "result.json", "samples/tb-long.jsonl"), tuple(HARMS)),
    **dict.fromkeys(("env.json", "metrics.jsonl", "templates/s0.jsonl"), ("truncated", "a list", "binary")),
}

STATES = {
    "absent": lambda path: None,
    "empty": lambda path: path.mkdir(parents=True),
    "a file": lambda path: (path.parent.mkdir(parents=True, exist_ok=True), path.write_text("text\n")),
    "running": running,
    "finished": finished,
    "evaluation": evaluation,
    "newer spec": edited("spec.json", lambda t: t["spec"].update(invented=1)),
    "older spec": edited("spec.json", lambda t: t["spec"].pop("train")),
    "bare spec": edited("spec.json", lambda t: {**t, "spec": {}}),
    "another spec version": edited("spec.json", lambda t: t.update(schema=2)),
    "another result version": edited("result.json", lambda t: t.update(schema=2)),
    "no result version": edited("result.json", lambda t: without(t, ("schema",))),
    "older result": edited("result.json", lambda t: t["suites"][BENCH].pop("pass_at")),
    "foreign suite": edited("result.json", lambda t: t.update(suites={"unknown": t["suites"][BENCH]})),
    "no suites": edited("result.json", lambda t: t.update(suites={})),
    "no seeds": edited("result.json", lambda t: t.update(seeds=[], ledgers={})),
    "no samples": lambda path: (finished(path), shutil.rmtree(path / "samples")),
    **{f"{name} {how}": damaged(name, HARMS[how]) for name, hows in FILES.items() for how in hows},
}


def without(tree, at):
    """A copy without the value there."""
    copy = json.loads(json.dumps(tree))
    inner = copy
    for key in at[:-1]:
        inner = inner[key]
    del inner[at[-1]]
    return copy
