"""What the property tests and the fuzzers have in common: inputs to begin with, how they are changed, and references."""

import json
import re

from harness.leaderboard.entries import load_filed
from harness.leaderboard.verify import verify_run
from harness.runs import filed, formats
from harness.search.reflect import ReflectionRequest
from support.boards import reseal

CLAIM = {
    "text": "P2O beats GRPO.",
    "source": "here",
    "metric": "avg@k",
    "suites": ["tb-long"],
    "effect": 10.0,
    "scores": {"arm": 60.0, "baseline": 50.0},
    "tolerance": 2.0,
    "training_set": "testbed",
    "recipe": "testbed",
    "grader": "parity",
    "settings": {"train.epochs": 2},
    "seed_sd": [1.0, 2.0],
    "budget": "rollouts",
    "expected": "reproduced",
    "arms": {"arm": {"method": "p2o", "settings": {"train.lr": 1e-4}}, "baseline": {"method": "grpo"}},
}
STUDY = {
    "title": "t",
    "text": "x",
    "recipe": "testbed",
    "bench": "tb-id",
    "seeds": [0, 1],
    "baseline": "b",
    "settings": {"train": {"epochs": 2, "prompts_per_batch": 16}, "testbed.problems": 32},
    "conditions": {"cold": {"train.temperature": 0.6}, "hot": {"train": {"temperature": 1.0}}},
    "arms": {"a": {"method": "p2o", "match": "b", "settings": {"backend.flags": {"a.b": 1}}}, "b": {"method": "grpo"}},
}
REPLY = {
    "id": "1",
    "usage": {"prompt_tokens": 100, "completion_tokens": 20},
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "so\n```\nbe\n```"}}],
}
JOB = ReflectionRequest("old", [{"Inputs": "q", "Generated Outputs": "a", "Feedback": "wrong"}])


def places(tree, at=()):
    """The path of every value of a JSON tree, its root's first."""
    yield at
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from places(value, (*at, key))


def put(tree, at, value):
    """The tree with another value in one place."""
    if not at:
        return value
    out = dict(tree) if isinstance(tree, dict) else list(tree)
    out[at[0]] = put(out[at[0]], at[1:], value)
    return out


def figures(folder):
    """What a page and a table show of a filed run; raises HarnessError where it is not verified."""
    verify_run(folder)
    entry = load_filed(folder, 1)
    suites = {name: suite.figures for name, suite in entry.result.suites.items()}
    figures = formats.tree({"suites": suites, "macro": entry.result.macro})
    return figures, entry.questions["tb-long"].scores_S_Q.tolist()


def resealed(folder, rows=None):
    """As `reseal`, where the manifest can still be sealed; else the folder as it is."""
    path = folder / "manifest.json"
    before = path.read_bytes()
    try:
        m = json.loads(before)
        return reseal(folder, rows, **({"spec_sha256": filed.spec_sha256(m["spec"])} if "spec" in m else {}))
    except (TypeError, KeyError, AttributeError, ValueError, OSError):
        path.write_bytes(before)
        return folder


def unbraced(text):
    """What follows the last `\\boxed` that has no braces: a number, a command up to a space, a letter before a dollar."""
    for start in range(len(text) - 6, -1, -1):
        if not text.startswith("\\boxed", start):
            continue
        rest = text[start + 6 :]
        content = rest.lstrip()
        spaced, first = content != rest, content[:1]
        if re.match(r"[-+0-9.]" if spaced else r"[-0-9]", first) or (first.isdigit() and first.isdecimal()):
            word = re.match(r"[-+\d.,/]+", content)[0]
        elif first == "\\" and re.match(r"[a-zA-Z]", content[1:]):
            word = re.split(r"[\s$]", content)[0]
        elif spaced and re.match(r"[A-Za-z]\s*(\$|\\\)|\\\])", content):
            word = first
        else:
            continue
        word, depth, escaped = word.rstrip(".,;"), 0, False
        for c in word:
            depth += 0 if escaped else (c == "{") - (c == "}")
            escaped = c == "\\" and not escaped
        if word and "\\boxed" not in word and not word.endswith("\\") and not depth:
            return word
    return None


def boxed_by_hand(text):
    """The last box by a reader of one character at a time."""
    starts = [m.end() for m in re.finditer(r"\\boxed\s*\{", text)]
    if not starts:
        return unbraced(text)
    depth, out, escaped = 1, "", False
    for c in text[starts[-1] :]:
        if escaped:
            escaped = False
        elif c == "\\":
            escaped = True
        elif c in "{}":
            depth += 1 if c == "{" else -1
            if not depth:
                return out.strip()
        out += c
    return None
