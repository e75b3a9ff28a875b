"""Suites, training sets, roles, and the reader of problem files."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.core.errors import MissingError, UsageError
from harness.core.hints import prefix
from harness.core.types import Problem
from harness.data.problems import PROMPT_FORMS, in_steps, read_problems, render, story_of, unwrap, without
from harness.data.suites import benchmarks_dir, list_groups, list_suites, load_suite
from harness.data.training_sets import load_training_set, resolve_bench, spaced
from harness.grading.graders import GRADERS, grade_many
from support.settings import resolve

MATHS = ["aime24", "aime25", "amc23", "math500", "minerva", "olympiad"]
TESTBED = ["tb-id", "tb-long", "tb-format", "tb-family"]
SKILLS = ["sk-id", "sk-combo", "sk-long", "sk-surface"]
OTHERS = ["aime26", "hmmt-feb-2025", "gsm8k", "svamp", "asdiv", "aqua", "mmlu-pro", "arc-challenge", "bbh", "gpqa-diamond"]
SCHOOL = ["gsm8k", "svamp", "asdiv", "aqua"]
WORDS = ["words-asdiv", "words-svamp", "words-gsm8k", "words-long"]
DRILLS = ["dr-id", "dr-items", "dr-digits", "dr-kinds"]
PROCEDURAL = ["rg-chain-sum", "rg-color-cube", "rg-equations", "rg-family", "rg-islands", "rg-knights-knaves"]


def run_spec(limit=None, problems=20):
    """Settings of a run, of which a training set reads its own."""
    return resolve("grpo", flags={"train": {"limit": limit}, "testbed": {"problems": problems, "easy_share": 0.5}})


def names(found):
    return [s.name for s in found]


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def row(id="a", problem="1+1?", answer="2", **more):
    return {"id": id, "problem": problem, "answer": answer, **more}


# ------------------------------------------------------------------ cards and roles


def test_all_suites_are_found_and_consistent():
    assert set(names(list_suites())) == {*MATHS, *OTHERS, *WORDS, *TESTBED, *SKILLS, *DRILLS, *PROCEDURAL}
    for suite in list_suites():
        assert suite.answer_type in GRADERS and suite.prompt in PROMPT_FORMS
        assert (suite.file is None) == (suite.name in TESTBED + SKILLS + DRILLS + PROCEDURAL)
        assert (
            (suite.generator is not None) == (suite.file is None) == (suite.name in [*TESTBED, *SKILLS, *DRILLS, *PROCEDURAL])
        )
        assert suite.k == (16 if suite.size < 100 else 4 if suite.size < 5000 else 1)
        assert suite.temperature == (1.0 if suite.name in SKILLS + DRILLS else 0.6)  # rates are stated at 1
        assert suite.licence and suite.known_defects and suite.revision
        pinned = suite.sha256 is not None and len(suite.sha256) == 64
        assert pinned == suite.verified == (suite.name != "gpqa-diamond")


def test_choices_are_asked_for_letters():
    assert {s.prompt for s in list_suites() if s.answer_type == "choice"} == {"choice"}
    assert "letter" in PROMPT_FORMS["choice"] and "\\boxed{}" in PROMPT_FORMS["choice"] and "\\boxed{}" in PROMPT_FORMS["short"]


def test_groups():
    groups = list_groups()
    assert list(groups) == ["six", "post-cutoff", "reasoning", "school", "words", "procedural"]
    assert list(groups["six"]) == MATHS and list(groups["procedural"]) == PROCEDURAL
    members = [name for group in groups.values() for name in group]
    assert len(members) == len(set(members)) and {*members, *TESTBED, *SKILLS, *DRILLS} == set(names(list_suites()))
    assert not {*groups} & {*names(list_suites()), "id", "ood", "all"}
    assert load_suite("svamp").groups == ["school"] and load_suite("tb-id").groups == []


def test_bench_takes_groups():
    gsm8k = load_training_set("gsm8k")
    assert names(resolve_bench("school, id, post-cutoff", gsm8k)) == [*SCHOOL, "aime26", "hmmt-feb-2025"]
    assert names(resolve_bench("school,tb-id", None)) == [*SCHOOL, "tb-id"]
    with pytest.raises(UsageError, match="unknown suite 'ood'"):
        resolve_bench("ood", None)  # no role without a training set


def test_the_readme_lists_every_suite_and_group():
    lines = [line for line in (benchmarks_dir() / "README.md").read_text().split("\n") if line.startswith("| ")]
    table = "\n".join(lines)
    assert all(f"`{name}`" in table for name in [*names(list_suites()), *list_groups()])


def test_unknown_suite_names_the_nearest():
    with pytest.raises(UsageError, match="'aime24'"):
        load_suite("aime-24")


def test_roles_belong_to_the_training_set():
    gsm8k, math, testbed = (load_training_set(n) for n in ("gsm8k", "math", "testbed"))
    assert names(resolve_bench("id", gsm8k)) == ["gsm8k"] and names(resolve_bench("ood", math)) == [
        n for n in MATHS if n != "math500"
    ]
    assert names(resolve_bench("ood", gsm8k)) == ["svamp", "asdiv", "aqua", "math500", "amc23"]
    assert names(resolve_bench("id", math)) == ["math500"]
    words = load_training_set("words")
    assert names(resolve_bench("all", words)) == WORDS and words.role_of("words-asdiv") == "id"
    assert names(resolve_bench("all", testbed)) == TESTBED
    assert names(resolve_bench("all", load_training_set("skills"))) == SKILLS
    assert (gsm8k.role_of("math500"), math.role_of("math500"), testbed.role_of("math500")) == ("ood", "id", None)


def test_bench_mixes_names_and_roles_without_repeats():
    assert names(resolve_bench("amc23, ood,tb-id", load_training_set("testbed"))) == ["amc23", *TESTBED[1:], "tb-id"]


@pytest.mark.parametrize(
    ("bench", "says"),
    [
        ("odd", "did you mean 'ood'"),
        ("procedura", "did you mean 'procedural'"),
        ("bhb", "'bbh'"),
        (" , ", "empty"),
        ("id,nonsense", "known.*post-cutoff"),
    ],
)
def test_bad_bench(bench, says):
    with pytest.raises(UsageError, match=says):
        resolve_bench(bench, load_training_set("testbed"))


def test_unknown_training_set_names_the_nearest():
    with pytest.raises(UsageError, match="'gsm8k'"):
        load_training_set("gsm8")


def test_planned_respects_the_limit():
    suite = load_suite("tb-id")
    assert (suite.planned(None), suite.planned(7), suite.planned(10_000)) == (200, 7, 200)


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("name", TESTBED + SKILLS)
def test_suites_of_worlds_are_the_pinned_ones(name):
    suite = load_suite(name)
    problems = suite.problems(None)
    assert len(problems) == suite.size == len({p.text for p in problems})
    assert {p.answer_type for p in problems} == {"skills" if name in SKILLS else "testbed"}


def test_changed_generated_problems_are_refused():
    suite = replace(load_suite("tb-id"), sha256="0" * 64)
    with pytest.raises(UsageError, match="not those that are pinned"):
        suite.problems(None)


def test_suite_without_data_says_what_to_pass(tmp_path):
    with pytest.raises(MissingError, match="--data-dir"):
        load_suite("aime24").problems(None)
    with pytest.raises(MissingError, match=r"no file .*aime24\.jsonl.*--data-dir"):
        load_suite("aime24").problems(tmp_path)
    with pytest.raises(MissingError, match="harness fetch gpqa-diamond --data-dir"):
        load_suite("gpqa-diamond").problems(tmp_path)


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path):
    (tmp_path / "eval").mkdir()
    path = write(tmp_path / "eval" / "aime24.jsonl", row())
    with pytest.raises(UsageError, match="SHA-256"):
        load_suite("aime24").problems(tmp_path)
    pinned = replace(load_suite("aime24"), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    [problem] = pinned.problems(tmp_path)
    assert problem.text.endswith("\nQuestion: 1+1?") and "\\boxed{}" in problem.text.split("\n")[0]


def test_suites_agree_with_the_data(data_dir):
    pinned = [suite for suite in list_suites() if suite.file is not None and suite.sha256 is not None]
    assert {*MATHS, "gsm8k", "mmlu-pro"} <= set(names(pinned))
    assert {s.name: len(s.problems(data_dir)) for s in pinned} == {s.name: s.size for s in pinned}


@pytest.mark.parametrize("name", ["arc-challenge", "bbh"])
def test_golds_accept_themselves_and_no_others(data_dir, name):
    """Every fifth gold in a box, for its own problem and for the one after it."""
    suite = load_suite(name)
    golds = [p.answer for p in suite.problems(data_dir)][::5]
    own = grade_many([(f"\\boxed{{{gold}}}", gold, suite.answer_type) for gold in golds])
    assert [gold for gold, g in zip(golds, own, strict=True) if (g.score, g.status) != (1.0, "ok")] == []
    pairs = list(itertools.pairwise(golds))
    others = grade_many([(f"\\boxed{{{b}}}", a, suite.answer_type) for a, b in pairs])
    assert [g.score for g in others] == [float(a.casefold() == b.casefold()) for a, b in pairs]


def test_a_suite_without_a_pinned_file_is_stamped(tmp_path):
    (tmp_path / "eval").mkdir()
    path = write(tmp_path / "eval" / "gpqa_diamond.jsonl", row(answer="B"))
    suite = load_suite("gpqa-diamond")
    assert [p.answer_type for p in suite.problems(tmp_path)] == ["choice"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in suite.deviation(tmp_path)
    assert load_suite("aime24").deviation(tmp_path) is None and load_suite("tb-id").deviation(None) is None


def test_training_sets_agree_with_the_data(data_dir):
    for name, size in (("gsm8k", 7473), ("math", 7500), ("words", 1950)):
        problems = load_training_set(name).problems(run_spec(), data_dir)
        assert len(problems) == size and all(p.solution for p in problems)


def test_formulas_of_words_are_solutions_whose_prefixes_end_between_operators(data_dir):
    problems = load_training_set("words").whole(None, data_dir)
    assert problems[0].solution == "7 + 2 = 9"
    assert [prefix("7 + 2 = 9", share) for share in (0.25, 0.5, 0.75)] == ["7", "7 +", "7 + 2 ="]
    raw = {p.text: p.meta["formula"] for p in problems}
    assert all(p.solution and p.solution.replace(" ", "") == raw[p.text].replace(" ", "") for p in problems)
    assert spaced("(5*8)-  3=37") == "(5 * 8) - 3 = 37" and spaced(None) is None


def test_parts_of_gsm8k_are_those_of_the_marks_in_its_solutions(data_dir):
    """Against the file itself: which rows have one mark or two, three or more; nothing is in both, order is kept."""
    rows = [json.loads(line) for line in (data_dir / "eval/gsm8k_test.jsonl").read_text().split("\n") if line]
    marks = {r["id"]: r["solution"].count("<<") for r in rows}
    short, long = ([p.id for p in load_suite(name).problems(data_dir)] for name in ("words-gsm8k", "words-long"))
    assert len({*short, *long}) == len(short) + len(long) == 500
    assert {marks[id] for id in short} == {1, 2} and min(marks[id] for id in long) == 3
    assert all(part == [id for id in marks if id in set(part)] for part in (short, long))


def test_words_trains_on_no_problem_or_story_of_its_suite(data_dir):
    train = load_training_set("words").problems(run_spec(), data_dir)
    test, whole = load_suite("words-asdiv").problems(data_dir), load_suite("asdiv").problems(data_dir)
    story = {p.id: story_of(unwrap(p.text)) for p in whole}
    assert not {story[p.id] for p in train} & {story[p.id] for p in test}
    left = {p.id for p in whole} - {p.id for p in train} - {p.id for p in test}
    assert {story[id] for id in left} <= {story[p.id] for p in test} and len(left) == 15
    assert train[0].solution == "7 + 2 = 9" and {p.text.split("\n")[0] for p in [*train, *test]} == {
        train[0].text.split("\n")[0]
    }


@pytest.mark.parametrize(("steps", "kept"), [(None, "abcd"), ((1, 2), "bc"), ((3, 9), "d"), ((0, 0), "a"), ((5, 9), "")])
def test_a_problem_has_the_steps_that_its_solution_marks(steps, kept):
    solutions = [None, "So 4/2=<<4/2=2>>2 are left.", "<<1+1=2>>2\n<<2+2=4>>4", "<<1+1=2>>" * 3]
    problems = [Problem(id, "?", "2", solution=s) for id, s in zip("abcd", solutions, strict=True)]
    assert "".join(p.id for p in in_steps(problems, steps)) == kept


def test_stories_that_are_asked_are_left_out():
    texts = [
        "Tom has 3 pens. How many?",
        "Tom has 4 pens. Is that more than 2?",
        "Ann runs. How far?",
        "Ann has 3 pens. How many?",
    ]
    problems = [Problem(str(i), render(text, "brief"), "1") for i, text in enumerate(texts)]
    assert [p.id for p in without(problems, [problems[0]])] == ["2", "3"]
    assert [p.id for p in without(problems, [Problem("2", "Another story. Why?", "1")])] == ["0", "1", "3"]
    assert without(problems, []) == problems


def test_a_drawn_suite_is_a_fixed_part_of_its_file(tmp_path):
    """Every problem is as likely; the draw depends on the suite's name and nothing else."""
    path = write(tmp_path / "p.jsonl", *(row(str(i)) for i in range(40)))
    made = replace(load_suite("words-svamp"), file="p.jsonl", sha256=None, size=10)
    drawn = {name: [p.id for p in replace(made, name=name).problems(tmp_path)] for name in map(str, range(400))}
    assert all(len(ids) == len(set(ids)) == 10 and ids == sorted(ids, key=int) for ids in drawn.values())
    counts = [sum(str(i) in ids for ids in drawn.values()) for i in range(40)]  # binomial(400, 1/4): sd 8.7
    assert 100 - 4 * 8.7 < min(counts) and max(counts) < 100 + 4 * 8.7
    assert [p.id for p in made.problems(tmp_path)] == [p.id for p in made.problems(tmp_path)] and path.exists()


def test_training_limit_is_a_fixed_subset_in_order():
    testbed = load_training_set("testbed")
    all_of_them = testbed.problems(run_spec(), None)
    some = testbed.problems(run_spec(limit=7), None)
    assert len(all_of_them) == 20 and len(some) == 7
    assert some == testbed.problems(run_spec(limit=7), None) == [p for p in all_of_them if p in some]
    assert testbed.problems(run_spec(limit=99), None) == all_of_them
    assert testbed.pieces() and not load_training_set("gsm8k").pieces()


# ------------------------------------------------------------------ the reader


def test_reader_takes_plain_and_gzipped_lines(tmp_path):
    rows = [row(solution="count"), row("b", "2+2?", "4", level="1", meta={"year": 1})]
    plain = write(tmp_path / "a.jsonl", rows[0], "", rows[1])
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    a, b = read_problems(plain, "math", "bare")
    assert (a.id, a.text, a.answer, a.answer_type, a.solution) == ("a", "1+1?", "2", "math", "count")
    assert b.solution is None and b.meta == {"year": 1}
    assert read_problems(packed, "math", "bare") == [a, b]
    packed.rename(tmp_path / "c.jsonl")
    assert read_problems(tmp_path / "c.jsonl", "math", "bare") == [a, b], "by content, not by name"


def test_reader_takes_what_can_be_meant_one_way_only(tmp_path):
    """A byte order mark, numbers as they are written, Parquet."""
    import pyarrow
    from pyarrow.parquet import write_table

    path = tmp_path / "a.jsonl"
    lines = ['{"id": 7, "problem": "x?", "answer": 0.10}', '{"id": "b", "problem": "y?", "answer": 123456789012345678901}']
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    assert [(p.id, p.answer) for p in read_problems(path, "math")] == [("7", "0.10"), ("b", "123456789012345678901")]
    columns = {"id": [7, 8], "problem": ["x?", "y?"], "answer": [5, 6], "meta": [{"year": 1}, None]}
    write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found = read_problems(tmp_path / "a.parquet", "math", "bare")
    assert [(p.id, p.text, p.answer, p.meta) for p in found] == [("7", "x?", "5", {"year": 1}), ("8", "y?", "6", {})]
    write_table(pyarrow.table({**columns, "answer": [5, None]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="a.parquet, row 2: field 'answer'"):
        read_problems(tmp_path / "a.parquet", "math")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ({"id": "b", "problem": "x"}, "line 2: field 'answer' is missing; a row has id, problem and answer, this one id, prob"),
        ({"question": "x", "answer": 4}, "line 2: field 'id' is missing; .* this one question, answer"),
        ({}, "line 2: field 'id' is missing; .* this one nothing"),
        (row("b", answer=" "), "line 2: field 'answer'"),
        (row("b", answer=True), "line 2: field 'answer'"),
        (row("b", answer=[4]), "line 2: field 'answer'"),
        ('{"id": "b", "problem": "x", "answer": Infinity}', "line 2: field 'answer'"),
        (row("", "x"), "line 2: field 'id'"),
        (row("b", None), "line 2: field 'problem'"),
        (row("b", solution=3), "line 2: field 'solution'"),
        (row("a"), "line 2: id 'a' is that of line 1"),
    ],
)
def test_malformed_rows_name_file_line_and_field(tmp_path, bad, says):
    path = write(tmp_path / "p.jsonl", row(), bad)
    with pytest.raises(UsageError, match=says) as caught:
        read_problems(path, "math")
    assert str(path) in str(caught.value)


def test_empty_missing_and_broken_files(tmp_path):
    with pytest.raises(UsageError, match="no problems"):
        read_problems(write(tmp_path / "empty.jsonl"), "math")
    with pytest.raises(MissingError, match="--data-dir"):
        read_problems(tmp_path / "none.jsonl", "math")
    for name, data, says in [
        ("x.jsonl", gzip.compress(b"x" * 99)[:-9], "cannot be read as text"),
        ("y.jsonl", "[]".encode("utf-16"), "cannot be read as text"),
        ("z.jsonl", b"PAR1 and nothing else", "cannot be read as Parquet"),
        ("x.jsonl.gz", b"not gzip", "line 1 is not JSON"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=f"{name}.*{says}"):
            read_problems(tmp_path / name, "math")


def test_import_is_light():
    heavy = "{'lm_eval', 'torch', 'math_verify', 'datasets', 'pebble', 'reasoning_gym'}"
    light = "harness.data.suites, harness.grading.graders, harness.grading.golds, harness.evaluation.evaluate"
    code = f"import sys, {light}; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_prompts_leave_braces_of_the_problem_alone():
    assert render("${x}{problem}$", "boxed").endswith("Question: ${x}{problem}$")
