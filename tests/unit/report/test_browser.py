"""What the sample browser reads is every sample of the run, unpacked here by other means than the page's script."""

import base64
import gzip
import json

import pytest

from harness.core.errors import HarnessError
from harness.report import browser
from harness.report.browser import packed_samples
from harness.runs import formats
from support.results import sample


def write(run, suite, rows):
    path = run / "samples" / f"{suite}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(formats.tree(sample(suite=suite, **row))) + "\n" for row in rows))


def unpack(block):
    return json.loads(gzip.decompress(base64.b64decode(block)))


def unpacked(packed):
    return unpack(packed.facts), *([x for block in blocks for x in unpack(block)] for blocks in (packed.prompts, packed.texts))


def test_every_sample_is_there_with_its_facts(tmp_path):
    own = [
        {"problem": "p", "seed": 3, "prompt": "q", "completion": "c0", "answer": "1", "score": 1.0, "parity": 0.0, "tokens": 7},
        {"problem": "p", "seed": 5, "prompt": "q", "completion": "c1", "status": "unparsed", "truncated": True, "index": 2},
    ]
    write(tmp_path, "a", own)
    write(tmp_path, "b", [{"problem": "r", "seed": 5, "prompt": "other", "completion": "c2", "greedy": True, "gold": "9"}])
    facts, prompts, texts = unpacked(packed := packed_samples(tmp_path, ["a", "b", "absent"], [3, 5]))
    assert facts["suites"] == ["a", "b", "absent"] and facts["seeds"] == [3, 5] and facts["problems"] == ["p", "r"]
    assert [facts["suites"][i] for i in facts["suite"]] == ["a", "a", "b"]
    assert [facts["seeds"][i] for i in facts["seed"]] == [3, 5, 5]
    assert [facts["problems"][i] for i in facts["problem"]] == ["p", "p", "r"]
    assert [prompts[i] for i in facts["prompt"]] == ["q", "q", "other"] and prompts == ["q", "other"], "each prompt once"
    assert texts == [["c0", "1", "1"], ["c1", None, "1"], ["c2", None, "9"]]
    assert facts["score"] == [1.0, 0.0, 0.0] and facts["parity"] == [0.0, None, None] and facts["tokens"][0] == 7
    assert facts["status"] == ["ok", "unparsed", "ok"] and facts["truncated"] == [0, 1, 0] and facts["greedy"] == [0, 0, 1]
    assert facts["index"] == [0, 2, 0] and (packed.shown, packed.total, packed.cut) == (3, 3, None)


def test_blocks_hold_what_was_said_in_any_bytes(tmp_path):
    said = "</script>\0\u202e \ud800 \U0001f600 \\u0000 '\"&<!--\u2028 é"
    write(tmp_path, "a", [{"problem": said, "prompt": said, "completion": said, "answer": said, "gold": said, "status": said}])
    facts, prompts, texts = unpacked(packed_samples(tmp_path, ["a"], [0]))
    shown = "</script><U+0000><U+202E> <U+D800> \U0001f600 \\u0000 '\"&<!--<U+2028> é"
    assert facts["problems"] == facts["status"] == prompts == [shown] and texts == [[shown] * 3]


def test_long_texts_are_cut_at_the_length_at_which_all_fit(tmp_path, monkeypatch):
    rows = [{"problem": str(i), "completion": f"a{'x' * size}z", "prompt": "q"} for i, size in enumerate((10, 2000, 9000))]
    write(tmp_path, "a", rows)
    assert packed_samples(tmp_path, ["a"], [0]).cut is None
    monkeypatch.setattr(browser, "CHARACTERS", 12 + 1500 + 1500 + 1)
    _, prompts, texts = unpacked(packed := packed_samples(tmp_path, ["a"], [0]))
    assert packed.cut == 1500 and prompts == ["q"]
    for (text, _, _), size in zip(texts, (12, 2002, 9002), strict=True):
        assert text.startswith("ax") and text.endswith("xz") and len(text.replace("\n", "")) <= 1600
        assert (f"[... {size - 1500} characters omitted ...]" in text) == (size > 1500)
    monkeypatch.setattr(browser, "CHARACTERS", 1)
    assert packed_samples(tmp_path, ["a"], [0]).cut == 200, "the least"


def test_suites_share_what_room_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "SAMPLES", 6)
    for suite, n in (("a", 5), ("b", 2)):
        write(tmp_path, suite, [{"problem": str(i)} for i in range(n)])
    facts, _, texts = unpacked(packed := packed_samples(tmp_path, ["a", "b"], [0]))
    assert (packed.shown, packed.total) == (5, 7) and facts["suite"] == [0, 0, 0, 1, 1] and len(texts) == 5


def test_blocks_are_small_and_lose_nothing_between_them(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "BLOCK", 100)
    write(tmp_path, "a", [{"problem": str(i), "completion": f"{i} " + "y" * 40, "prompt": f"q{i}" * 9} for i in range(50)])
    packed = packed_samples(tmp_path, ["a"], [0])
    assert len(packed.texts) > 10 and len(packed.prompts) > 5
    _, prompts, texts = unpacked(packed)
    assert [text.split()[0] for text, _, _ in texts] == [str(i) for i in range(50)] and len(prompts) == 50
    assert packed_samples(tmp_path, ["a"], [0]) == packed, "the same bytes again"


def test_a_damaged_row_is_named(tmp_path):
    write(tmp_path, "a", [{}])
    with (tmp_path / "samples" / "a.jsonl").open("a") as f:
        f.write("{}\n")
    with pytest.raises(HarnessError, match="line 2 is damaged"):
        packed_samples(tmp_path, ["a"], [0])


def test_a_run_without_samples_has_none(tmp_path):
    packed = packed_samples(tmp_path, ["a"], [0])
    assert (packed.shown, packed.total, packed.texts) == (0, 0, [])
