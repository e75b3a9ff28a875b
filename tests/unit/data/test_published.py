"""The published lists: one for every pinned suite with a file, and what the data themselves give."""

import hashlib
import json

import pytest

from harness.core.errors import HarnessError
from harness.data import published
from harness.data.suites import list_suites
from harness.leaderboard.questions import check_questions
from support.paths import DATA

PINNED = [s for s in list_suites() if s.file is not None and s.sha256 is not None]


@pytest.mark.parametrize("suite", PINNED, ids=lambda s: s.name)
def test_every_pinned_suite_has_a_list_of_its_problems(suite):
    listed = published.read_list(suite)
    assert listed is not None and len(listed) == suite.size
    assert all(len(x) == 16 and set(x) <= set("0123456789abcdef") for x in listed.values())


@pytest.mark.skipif(not (DATA / "eval").is_dir(), reason="no data")
def test_the_lists_are_those_of_the_data():
    for path, text in published.lists(DATA).items():
        assert path.read_text() == text, path


def test_a_digest_by_hand():
    prompt = hashlib.sha256(b"What is 1 + 1?").hexdigest()
    assert published.prompt_sha256("What is 1 + 1?") == prompt
    text = f'["a", "{prompt}", "2"]'
    assert published.digest("a", prompt, "2") == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert published.digest("a", prompt, "3") != published.digest("a", prompt, "2")


def test_a_damaged_list_is_refused(tmp_path, monkeypatch):
    suite = PINNED[0]
    monkeypatch.setattr(published, "benchmarks_dir", lambda: tmp_path)
    assert published.read_list(suite) is None
    (tmp_path / suite.name).mkdir()
    (tmp_path / suite.name / "problems.tsv").write_text("a\tb\n")
    with pytest.raises(HarnessError, match="does not hold the"):
        published.read_list(suite)


def test_samples_are_held_against_the_list_where_the_data_are_not_at_hand(tmp_path, monkeypatch):
    """One problem of a suite whose list is written here; its prompt, gold or id forged."""
    from harness.config import resolve
    from harness.runs.samples import FiledSample

    suite = next(s for s in PINNED if s.name == "aime24")
    known = {f"p{i}": ("q", "7") for i in range(suite.size)}
    prompt = published.prompt_sha256("q")
    text = "".join(f"{p}\t{published.digest(p, prompt, gold)}\n" for p, (_, gold) in known.items())
    (tmp_path / suite.name).mkdir()
    (tmp_path / suite.name / "problems.tsv").write_text(text)
    monkeypatch.setattr(published, "benchmarks_dir", lambda: tmp_path)
    spec = resolve("grpo", "qwen2.5-0.5b-gsm8k", flags={"eval": {"bench": suite.name}})
    fields = {"index": 0, "greedy": False, "completion": "", "answer": None, "score": 0.0, "parity": None, "status": "ok"}
    row = FiledSample(
        **fields, problem="p0", seed=0, gold="7", truncated=False, prompt_tokens=1, tokens=1, prompt_sha256=prompt
    )
    prompts = {0: lambda p: p.text}
    assert check_questions(suite.name, suite.sha256, [row], spec, prompts, None, tmp_path) == "list"
    other = published.prompt_sha256("q, whose answer is 7")
    for forged, words in (
        ({"gold": "8"}, "not those of the suite's published list"),
        ({"prompt_sha256": other}, "not those of the suite's published list"),
        ({"problem": "p1000"}, "no such problem"),
        ({"prompt_sha256": "none"}, "is none"),
        ({"prompt": "q"}, "prompts of this suite are not filed"),
    ):
        tree = {f: getattr(row, f) for f in row.__struct_fields__ if f != "prompt"}
        with pytest.raises(HarnessError, match=words):
            check_questions(suite.name, suite.sha256, [FiledSample(**{**tree, **forged})], spec, prompts, None, tmp_path)
    limited = resolve("grpo", "qwen2.5-0.5b-gsm8k", flags={"eval": {"bench": suite.name, "limit": 1}})
    tree = {f: getattr(row, f) for f in row.__struct_fields__ if f != "prompt"}
    with pytest.raises(HarnessError, match="no such problem"):
        check_questions(suite.name, suite.sha256, [FiledSample(**{**tree, "problem": "p1"})], limited, prompts, None, tmp_path)


def test_training_sets_with_a_file_have_a_hash():
    listed = published.read_training_list()
    assert {"gsm8k", "math", "deepscaler", "deepmath"} <= set(listed)
    assert json.loads((published.benchmarks_dir() / published.TRAINING_LIST).read_text()) == listed
