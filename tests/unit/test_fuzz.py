"""Properties under arbitrary input. A second or two each; HARNESS_FUZZ=N tries N examples of every one."""

import gzip
import json
import os
import random
import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.ledger import Ledger
from harness.core.trees import merge, parse_set, read_yaml
from harness.core.types import Context, Group, Problem, Rollout
from harness.data.problems import read_problems, render
from harness.evaluation.estimators import avg_at_k, pass_at_k
from harness.grading import answers, graders
from harness.registry import load_method, methods
from harness.runs.files import append_jsonl, mend, read_jsonl
from harness.training.gather import gather_groups
from support.fuzzing import JSON, TEXT, fuzz
from support.hostile import boxed_by_hand
from support.settings import resolve

KNOWN = ["train.lr", "eval.decoding", "train.loss.ratio_band", "p2o.evolve", "seeds", "model", "p2o", "train", "backend.flags"]


# ------------------------------------------------------------------ settings


@fuzz(40)
@given(st.text(max_size=40) | st.builds("{}={}".format, st.sampled_from(KNOWN), TEXT | JSON.map(repr)))
def test_a_setting_is_taken_or_refused_in_a_sentence(item):
    try:
        tree = parse_set(item)
    except UsageError as e:
        assert len(str(e)) > 10
        return
    assert isinstance(tree, dict) and merge(tree, tree) == merge({}, tree) or "nan" in repr(tree)
    try:
        assert resolve("p2o", sets=[item]).hash()
    except (UsageError, MissingError) as e:
        assert len(str(e)) > 10


@fuzz(30)
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
    | st.dictionaries(st.sampled_from([k.split(".")[0] for k in KNOWN]), JSON).map(lambda t: json.dumps(t).encode())
)
def test_a_config_file_is_taken_or_refused_in_a_sentence(tmp_path, data):
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    try:
        read_yaml(path)
        resolve("grpo", configs=[path])
    except (UsageError, MissingError) as e:
        assert len(str(e)) > 10


@pytest.mark.parametrize(
    "item",
    [
        "eval.bench=2024-99-99",
        "train.lr=" + "1" * 5000,
        "seeds=[[[",
        "train={1: 2}",
        "model={null: 1}",
        "seeds=.inf",
        "p2o={[]: 1}",
        "train.loss={2024-01-01: x}",
        "eval.decoding={kind: [1]}",
        "=1",
        '"="=1',
        "train=3",
        "p2o=3",
        "seeds=1e400",
        "train.lr=" + "[" * 3000,
        "testbed.style_probability=[1]",
        "xyz={}",
        "train.grad_clip=.nan",
    ],
)
def test_settings_that_trip_a_loader(tmp_path, item):
    with pytest.raises(UsageError) as e:
        resolve("p2o", sets=[item])
    assert "\n" not in str(e.value) and len(str(e.value)) < 6000


@pytest.mark.parametrize(
    "text",
    [
        "1: 2",
        "null: 3",
        "2024-01-01: x",
        "train: {1: 2}",
        "p2o: {null: 1}",
        "? [a]\n: b",
        "[1]",
        "a: &a [*a]",
        "!!python/name:os.x",
        "train: &t {a: *t}",
        "x: 2024-99-99",
        "- - -",
        "\ttrain: 1",
        "seeds: [1, 1]",
        "2.5: {a: b}",
        "true: 1",
    ],
)
def test_files_that_trip_a_loader(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError) as e:
        resolve("p2o", configs=[tmp_path / "c.yaml"])
    assert "\n" not in str(e.value) and len(str(e.value)) < 6000


FOUND = {  # by the fuzzers: values that a YAML loader, a spec's hash or its file once tripped over
    "an empty integer": '!!int ""',
    "an empty number": '!!float ""',
    "no truth value": "!!bool x",
    "no date": "!!timestamp x",
    "no character": '"\\UFFFFFFFF"',
    "half a pair": '"\\ud800"',
    "half a pair as a key": '{"\\ud800": true}',
    "thousands of digits in hexadecimals": "0x" + "f" * 3800,
    "binary": "!!binary /w==",
    "a set": "!!set {1, 2}",
    "more than 63 bits": "9223372036854775808",
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("key", ["seeds", "model.id", "backend.flags", "model.chat_options"])
def test_values_that_no_spec_can_hold_are_refused(tmp_path, key, name):
    at, _, leaf = key.rpartition(".")
    (tmp_path / "c.yaml").write_text(f"{at}:\n  {leaf}: {FOUND[name]}" if at else f"{leaf}: {FOUND[name]}")
    for where in ({"sets": [f"{key}={FOUND[name]}"]}, {"configs": [tmp_path / "c.yaml"]}):
        with pytest.raises(UsageError) as e:
            resolve("p2o", **where)
        assert "\n" not in str(e.value) and len(str(e.value)) < 6000


@pytest.mark.parametrize("at", ["seeds: %s", "train: {lr: %s}", "backend: {flags: {x: %s}}"])
@pytest.mark.parametrize("shape", ["[%s]", "{a: %s}"])
def test_aliases_that_unfold_without_end_are_refused(tmp_path, at, shape):
    """Eight times eight times eight ...: such a value took minutes, and its error message 190 MB."""
    many = lambda x: ", ".join(f"{i}: {x}" if shape[0] == "{" else x for i in "bcdefghi")  # noqa: E731
    levels = [f"&a0 {shape[0]}{many('x')}{shape[-1]}"]
    levels += [f"&a{i} {shape[0]}{many(f'*a{i - 1}')}{shape[-1]}" for i in range(1, 9)]
    (tmp_path / "c.yaml").write_text(at % f"[{', '.join(levels)}]")
    with pytest.raises(UsageError, match="holds more than 100,000 values") as e:
        resolve("grpo", configs=[tmp_path / "c.yaml"])
    assert len(str(e.value)) < 300


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("train.max_seconds=.inf", "finite number"),
        ("train.lr=.inf", "finite number"),
        ('backend.flags."a\udca2"=1', "key=value"),
        ("train.epochs=1000000000", "less than or equal"),
        ("train.limit=1000000000", "less than or equal"),
        ("testbed.problems=1000000000", "less than or equal"),
        (f"train.lr=[{'x, ' * 5000}]", "x', 'x"),
    ],
)
def test_settings_that_were_taken_and_could_not_be_stored_planned_or_said(item, words):
    """An infinite number came back from spec.json as null, and a plan walked through all epochs."""
    with pytest.raises(UsageError, match=words) as e:
        resolve("grpo", sets=[item])
    assert str(e.value).isprintable() and len(str(e.value)) < 300


# ------------------------------------------------------------------ data and samples


ROWS = st.dictionaries(st.sampled_from(["id", "problem", "answer", "solution", "meta"]), TEXT | JSON, max_size=5)
READABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
SOUND = st.lists(
    st.fixed_dictionaries({"id": READABLE, "problem": READABLE, "answer": READABLE}, optional={"solution": READABLE}),
    max_size=4,
    unique_by=lambda row: row["id"],
).map(lambda rows: [json.dumps(row) for row in rows])


@fuzz(100)
@given(
    SOUND | st.lists(ROWS.map(json.dumps) | TEXT.map(lambda t: t.encode("utf-8", "replace").decode()), max_size=4),
    st.booleans(),
)
def test_a_data_file_is_read_or_refused_with_its_line(tmp_path, lines, zipped):
    path = tmp_path / ("x.jsonl" + ".gz" * zipped)
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    try:
        problems = read_problems(path, "math")
    except UsageError as e:
        assert str(path) in str(e)
        return
    assert len({p.id for p in problems}) == len(problems) == sum(bool(line.strip()) for line in data.decode().split("\n"))
    given = {row["id"]: row for row in (json.loads(x) for x in data.decode().split("\n") if x.strip())}
    for p in problems:
        assert p.text == render(given[p.id]["problem"], "boxed") and p.answer == given[p.id]["answer"]
        append_jsonl(tmp_path / "store.jsonl", [{"problem": p.id, "text": p.text}])
        (tmp_path / "store.jsonl").unlink()


@fuzz(80)
@given(st.binary(max_size=80).map(lambda d: gzip.compress(d)) | st.binary(max_size=80), st.integers(0, 100))
def test_a_damaged_archive_is_refused(tmp_path, data, cut):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(data[:cut])
    with pytest.raises(UsageError, match=re.escape(str(path))):
        read_problems(path, "math")


SAFE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@fuzz(60)
@given(st.lists(st.dictionaries(SAFE, SAFE | st.integers() | st.none(), max_size=3), max_size=5), st.data())
def test_a_log_cut_anywhere_loses_its_last_row_at_most(tmp_path, rows, data):
    path = tmp_path / "x.jsonl"
    path.unlink(missing_ok=True)
    append_jsonl(path, rows)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    os.truncate(path, cut)
    left = read_jsonl(path)
    assert left == rows[: whole[:cut].count(b"\n")]
    mend(path)
    assert read_jsonl(path) == left
    append_jsonl(path, [{"more": 1}])
    assert read_jsonl(path) == [*left, {"more": 1}]


@fuzz(150)
@given(st.binary(max_size=60) | st.lists(JSON.map(json.dumps), max_size=3).map(lambda x: "\n".join(x).encode()))
def test_a_foreign_log_is_read_or_refused(tmp_path, data):
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    try:
        assert all(isinstance(row, dict) for row in read_jsonl(path))
    except HarnessError as e:
        assert "x.jsonl" in str(e)


# ------------------------------------------------------------------ answers


PIECES = ["\\boxed", "\\boxed{", "{", "}", "\\{", "\\}", "\\", " ", "1", "\\frac{1}{2}", "\n", "ans", "=", "B"]
LATEX = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@fuzz(200)
@given(LATEX | TEXT)
def test_the_last_box_is_found_whatever_surrounds_it(text):
    assert answers.last_boxed(text) == boxed_by_hand(text)
    answer = answers.last_boxed(text)
    if answer is not None and not answer.endswith("\\") and boxed_by_hand(f"\\boxed{{{answer}}}") is not None:
        assert answers.last_boxed(f"{text} so \\boxed{{{answer}}}.") == answer


@fuzz(150)
@given(LATEX | TEXT, st.sampled_from(["(B)", "17", "-3", "yes", "[ ] ( )", "valid"]))
def test_graders_of_text_judge_anything(text, gold):
    for kind in ("choice", "exact", "testbed"):
        for completion in (text, f"\\boxed{{{text}}}"):
            [grade] = graders.grader_of(kind)([(completion, gold if kind != "choice" else "B")], 1, 4.0)
            assert grade.score in (0.0, 1.0) and grade.status in ("ok", "unparsed")
            assert not (grade.score and grade.status != "ok")


@fuzz(60)
@given(TEXT)
def test_a_choice_is_right_in_every_usual_spelling(noise):
    noise = noise.replace("\\", "").replace("{", "").replace("}", "")
    spellings = ["B", "b.", "(B)", "\\text{(B)}", " B "]
    grades = graders.grade_choice([(f"{noise} \\boxed{{{s}}} {noise}", "B") for s in spellings], 1, 4.0)
    assert [g.score for g in grades] == [1.0] * len(spellings)


# ------------------------------------------------------------------ rollout groups and the ledger

PROBLEMS = [Problem(f"p{i}", f"what is {i}?", "7", "math", "First step. Second step. The answer is 7.") for i in range(5)]


def scripted(rewards, ledger, sizes):
    """Rewards in the order drawn, 0 once they have run out; every rollout has tokens of its own number."""
    left, seen = iter(rewards), iter(range(10**9))

    def generate(requests):
        sizes.append(len(requests))
        out = [
            Rollout(c, "text \\boxed{7}", [1] * (1 + next(seen) % 5), [-1.0] * 3, 2, reward=float(next(left, 0)))
            for _, c in requests
        ]
        ledger.add_rollouts(out)
        return out

    return generate


@fuzz(6)
@pytest.mark.parametrize("name", sorted(methods()))
@given(rewards=st.lists(st.integers(0, 1), max_size=60), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_groups_of_every_method_under_any_rewards(name, rewards, k, seed):
    spec = resolve(name, sets=[f"train.rollouts_per_prompt={k}"])
    cls = load_method(name)
    method = cls(spec.typed_method_config(), spec.train, PROBLEMS, seed, ["be brief", "think"])
    if method.loss is None:
        pytest.skip("no rollout groups: its weights are frozen")
    ledger, sizes = Ledger(), []
    groups = gather_groups(method, PROBLEMS, k, scripted(rewards, ledger, sizes), (seed, "group"))
    ledger.add_update(groups, 1)
    assert len(groups) == len(PROBLEMS) and all(len(g.rollouts) == k for g in groups)
    assert all(len(g.rollouts) + len(g.discarded) <= method.costs().group for g in groups)
    drawn = [r for g in groups for r in g.rollouts + g.discarded]
    assert ledger.rollouts == sum(sizes) == len(drawn) == len({id(r) for r in drawn}), "none lost, none counted twice"
    assert ledger.generated_tokens == sum(len(r.tokens_T) for r in drawn)
    assert ledger.trained_tokens == sum(len(r.tokens_T) for g in groups for r in g.rollouts)
    assert ledger.discarded_rollouts == ledger.rollouts - k * len(PROBLEMS)
    assert all(r.context.rollout and r.context.train for r in drawn)
    again, twin = Ledger(), cls(spec.typed_method_config(), spec.train, PROBLEMS, seed, ["be brief", "think"])
    repeated = gather_groups(twin, PROBLEMS, k, scripted(rewards, again, []), (seed, "group"))
    assert [g.to_row() for g in repeated] == [g.to_row() for g in groups]
    state = json.loads(json.dumps(method.state_dict()))
    twin.load_state_dict(state)
    assert json.loads(json.dumps(twin.state_dict())) == state


ROLLOUT = st.builds(
    lambda n, prompt, reward: Rollout(Context.plain("q"), "t", [1] * n, [-1.0] * n, prompt, reward=float(reward)),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 1),
)


@fuzz(150)
@given(
    st.lists(st.tuples(st.lists(ROLLOUT, min_size=1, max_size=4), st.lists(ROLLOUT, max_size=3)), max_size=5), st.integers(0, 5)
)
def test_a_ledger_adds_up_however_it_is_cut(pairs, at):
    groups = [Group(PROBLEMS[0], kept, dropped) for kept, dropped in pairs]

    def ledger(some):
        out = Ledger()
        out.add_rollouts(r for g in some for r in g.rollouts + g.discarded)
        out.add_update(some, len(some))
        return out

    whole = ledger(groups)
    assert Ledger.total([ledger(groups[:at]), ledger(groups[at:])]) == whole
    assert Ledger(**json.loads(json.dumps(whole.to_dict()))) == whole
    dropped = sum(len(r.tokens_T) for g in groups for r in g.discarded)
    assert whole.generated_tokens == whole.trained_tokens + dropped and whole.sampled_tokens >= whole.generated_tokens
    assert whole.discarded_rollouts <= whole.rollouts and all(v >= 0 for v in whole.to_dict().values())


# ------------------------------------------------------------------ estimators


@fuzz(200)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=9))
def test_pass_at_k_is_the_share_of_subsets_with_a_success(scores):
    n, c = len(scores), sum(scores)
    values = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    for k, value in enumerate(values, 1):
        subsets = list(combinations(scores, k))
        assert value == pytest.approx(sum(any(s) for s in subsets) / len(subsets))
    assert values == sorted(values) and values[0] == pytest.approx(avg_at_k(scores))


@fuzz(60)
@given(st.integers(1, 12), st.integers(1, 6), st.randoms(use_true_random=False))
def test_pass_at_1_does_not_depend_on_n_in_the_mean(n, more, rng: random.Random):
    """Over all subsets of size n of n + more samples, the mean of pass@1 is that of the whole: no bias from n."""
    n = min(n, 6)
    scores = [rng.randint(0, 1) for _ in range(n + more)]
    subsets = list(combinations(scores, n))
    mean = sum(pass_at_k(n, sum(s), 1) for s in subsets) / len(subsets)
    assert mean == pytest.approx(pass_at_k(len(scores), sum(scores), 1))
