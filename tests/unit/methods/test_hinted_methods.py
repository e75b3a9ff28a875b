"""The hinted arms' decisions on scripted rollouts: when a hint comes, which group is kept, what the gradient sees."""

import asyncio
import itertools
import random
from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.core.hints import Coverage, check_coverage, coverage, prefix
from harness.core.ledger import Ledger
from harness.core.method import EpochReport, Finetuned
from harness.core.screening import keep_hard, screening_cost
from harness.core.types import Context, Problem, Rollout
from harness.registry import load_method
from support.settings import resolve

K = 6
SOLUTION = "One of four parts. Two of four parts. Six of four parts. And so: \\boxed{4711}"
PROBLEM = Problem("p0", "What?", "4711", "math", SOLUTION)
SHARES = [prefix(SOLUTION, f) for f in (0.25, 0.5, 0.75)]


def made(name, *sets, problems=(PROBLEM,), phrases=("alpha", "beta"), recipe="qwen3-4b-deepscaler-5k"):
    spec = resolve(name, recipe, sets=list(sets))
    cls = load_method(name)
    cls.check(spec.typed_method_config(), spec.train)
    return cls(spec.typed_method_config(), spec.train, list(problems), 0, list(phrases))


class Script:
    """Rewards by a rule on (context, how many-th sample of this call); keeps every call."""

    def __init__(self, solves, text="a try"):
        self.solves, self.text, self.calls = solves, text, []

    async def __call__(self, contexts, problem=None):
        self.calls.append((list(contexts), problem))
        text = self.text
        return [
            Rollout(c, text(c) if callable(text) else text, [1, 2, 3], [-1.0] * 3, 4, reward=float(bool(self.solves(c, i))))
            for i, c in enumerate(contexts)
        ]


def run(method, script, problem=PROBLEM, seed=0):
    return asyncio.run(method.rollout_group(problem, K, script, random.Random(seed)))


# ---------------------------------------------------------------------- prefix-ladder


def test_the_prefixes_of_this_test_grow():
    assert SHARES == [
        "One of four parts.",
        "One of four parts. Two of four parts.",
        "One of four parts. Two of four parts. Six of four parts.",
    ]


@pytest.mark.parametrize("rung", [0, 1, 2, 3, None])
@pytest.mark.parametrize("switch", ["hinted", "original"])
def test_the_ladder_climbs_until_one_succeeds(rung, switch):
    """`rung` 0 is the bare problem, None never; one success of six is enough to stop."""
    method = made("prefix-ladder", f"prefix-ladder.gradient_context={switch}")
    hints = ["", *SHARES]
    script = Script(lambda c, i: rung is not None and c.template == hints[rung] and i == 3)
    group = run(method, script)
    last = 3 if rung is None else rung
    assert [c[0].template for c, _ in script.calls] == hints[: last + 1]
    assert all(len(set(c)) == 1 and len(c) == K for c, _ in script.calls), "one context per group"
    assert {r.context.template for r in group.rollouts} == {hints[last]}
    assert [r.context.template for r in group.discarded] == [h for h in hints[:last] for _ in range(K)]
    context = group.rollouts[0].context
    if last:
        assert context.rollout == f"What?\n\nThe beginning of a solution:\n{hints[last]}"
    assert context.train == (context.rollout if switch == "hinted" else "What?")
    assert group.successes == (rung is not None) and len(script.calls) * K <= method.costs().group


def test_the_ladder_stops_at_a_prefix_that_gives_the_answer_away():
    problem = Problem("p", "What?", "4711", "math", "Start. It is 4711 already here. " + "Then much more text follows. " * 3)
    script = Script(lambda c, i: False)
    group = run(made("prefix-ladder", problems=[problem]), script, problem)
    assert group.refused == 1 and len(script.calls) <= 2 and not any("4711" in c[0].rollout for c, _ in script.calls)
    ledger = Ledger()
    ledger.add_update([group], 1)
    assert ledger.refused_hints == 1 and ledger.leaking_rollouts == 0


def test_a_problem_without_solution_stays_plain_and_a_set_without_any_is_refused():
    bare = Problem("p1", "Why?", "1")
    script = Script(lambda c, i: False)
    assert run(made("prefix-ladder", problems=[bare, PROBLEM]), script, bare).discarded == [] and len(script.calls) == 1
    for name in ("prefix-ladder", "prefix-curriculum", "self-hint"):
        with pytest.raises(UsageError, match="needs reference solutions"):
            made(name, problems=[bare])


BLANK = Problem("p1", "What?", "12", "math", "\\boxed{12}")
GIVEN_AWAY = Problem("p2", "What?", "4711", "math", "It is 4711 all the time. " * 4)
PART = Problem("p3", "What?", "4711", "math", "A. " * 4 + "It is 4711 in this part. " + "B. " * 4)
UNSOLVED = Problem("p4", "What?", "12", "math")
READY = Problem("p5", "What?", "4711", "math", "s", hints=("It is 4711.", " ", "Think."))
TOLD = Problem("p6", "What?", "4711", "math", "s", hints=("It is 4711.", " "))


@pytest.mark.parametrize("name", ["prefix-ladder", "prefix-curriculum", "self-hint", "self-hint-answer"])
def test_a_problem_is_usable_where_a_failing_group_is_given_a_hint(name):
    """Against the groups themselves: somewhere in them a rollout has a hint, in one of the method's stages."""
    problems = [PROBLEM, BLANK, GIVEN_AWAY, PART, UNSOLVED]
    method = made(name, problems=problems)
    for problem in problems:
        hinted = set()
        for stage in (0, 1):
            method.stage = stage
            script = Script(lambda c, i: False, text="1. One.\n2. Two.\n3. Three.")
            run(method, script, problem)
            hinted |= {c.template for contexts, _ in script.calls for c in contexts} - {""}
        assert (bool(hinted) == method.usable(problem)) or method.reference == "answer", problem
    found = coverage(method)
    expected = {"prefix-ladder": (4, 2), "prefix-curriculum": (4, 2), "self-hint": (4, 4), "self-hint-answer": None}[name]
    assert (found and (found.solutions, found.usable)) == expected and (found is None or found.problems == 5)


def test_hints_that_come_with_problems_are_usable_unless_they_give_the_answer_away():
    method = made("self-hint", "self-hint.writer=offline", problems=[READY, TOLD, UNSOLVED])
    assert [method.usable(p) for p in (READY, TOLD, UNSOLVED)] == [True, False, False]
    script = Script(lambda c, i: False)
    assert run(method, script, READY).refused == 1 and len(script.calls) == 2  # plain, and the third hint
    assert str(coverage(method)) == "1 of 3 training problems (33.3%) have a usable solution, 2 have one at all"


@pytest.mark.parametrize("usable, refused", [(90, False), (89, True)])
def test_a_method_is_refused_below_nine_usable_problems_of_ten(usable, refused):
    found = Coverage(100, 95, usable)
    for alone, words in ((False, "train.with_solutions=true trains on"), (True, "so no setting helps")):
        if refused:
            with pytest.raises(UsageError, match=r"^m needs .* 90% .*, and 89 of 100 .*\(89.0%\).*" + words):
                check_coverage("m", found, alone)
        else:
            check_coverage("m", found, alone)
    check_coverage("m", None, False)
    assert str(Coverage(10_000, 10_000, 8_999)) == "8,999 of 10,000 training problems (89.9%) have a usable solution"


# ---------------------------------------------------------------------- prefix-curriculum


class Plain:
    """A policy that solves problem i in its first i of K plain tries."""

    def rollouts(self, requests, sampling, seed):
        tries = {}
        for p, c in requests:
            assert c == Context.plain(p.text), "screened without hints"
            tries[p.id] = tries.get(p.id, -1) + 1
            yield Rollout(c, "t", [1], [0.0], 1, reward=float(tries[p.id] < int(p.id[1:])))


class Policy(Plain):
    def rollouts(self, *args):
        return list(super().rollouts(*args))


def test_the_curriculum_keeps_hard_problems_and_shortens_the_prefix_with_the_budget():
    problems = [Problem(f"p{i}", f"q{i}", "4711", "math", SOLUTION) for i in range(5)]
    method = made("prefix-curriculum", "train.max_rollouts=1000", "train.epochs=100", problems=problems)
    ledger = Ledger()
    assert screening_cost(method) == 5 * K, "screened although train.problems is all"
    metrics = keep_hard(method, Policy(), ledger)
    assert [p.id for p in method.problems] == ["p0", "p1"] and metrics["search_rollouts"] == 5 * K == ledger.search_rollouts
    stages = []
    for epoch, paid in enumerate((200, 499, 500, 800, 990)):
        group = run(method, Script(lambda c, i: i == 0), problems[0])
        stages.append(group.rollouts[0].context.template)
        assert len(group.rollouts) == K and not group.discarded, "always hinted, success or not"
        method.end_epoch(epoch, [], None, Ledger(rollouts=paid), last=False)
    assert stages == [SHARES[1]] * 3 + [SHARES[0]] * 2
    other = made("prefix-curriculum", problems=problems)
    other.load_state_dict(method.state_dict())
    assert other.stage == 1
    by_epochs = made("prefix-curriculum", "train.max_rollouts=null", "train.epochs=4", problems=problems)
    shares = [by_epochs.end_epoch(e, [], None, Ledger(rollouts=9), False).metrics["stage_share"] for e in range(4)]
    assert shares == [0.5, 0.5, 0.25, 0.25]


def test_the_curriculum_rolls_a_refused_problem_out_plainly():
    problem = Problem("p", "What?", "4711", "math", "It is 4711. " * 5)
    group = run(made("prefix-curriculum", problems=[problem]), Script(lambda c, i: False), problem)
    assert {r.context for r in group.rollouts} == {Context.plain("What?")} and group.refused == 1 and not group.discarded


# ---------------------------------------------------------------------- self-hint


def asks(context):
    """Whether the policy is asked to write hints."""
    return context.rollout.startswith("A student could not solve")


ANSWER = "Let me see.\n1. the idea\n2) the method\n3. so it is 4711\nnothing more"


def test_levels_in_turn_missing_and_leaking_ones_left_out():
    script = Script(lambda c, i: False, text=lambda c: ANSWER if asks(c) else "try")
    method = made("self-hint")
    group = run(method, script)
    assert [c[0].template for c, _ in script.calls] == ["", "", "the idea", "the method"]
    assert [asks(c[0]) for c, _ in script.calls] == [False, True, False, False]
    assert [len(c) for c, _ in script.calls] == [K, 1, K, K] and group.refused == 1, "level 3 states the answer"
    request = script.calls[1][0][0].rollout
    assert SOLUTION in request and "What?" in request
    assert {r.context.rollout for r in group.rollouts} == {"What?\n\nHint:\nthe method"}
    assert len(group.discarded) == 2 * K and len(group.requests) == 1, "a request is no attempt"
    ledger = Ledger()
    ledger.add_update([group], 1)
    assert ledger.discarded_rollouts == 2 * K + 1 and method.costs().group >= 3 * K + 1
    missing = Script(lambda c, i: False, text=lambda c: "no lines" if asks(c) else "try")
    kept = run(method, missing)
    assert len(missing.calls) == 2 and kept.rollouts[0].context == Context.plain("What?")


@pytest.mark.parametrize(
    ("text", "cut", "hints"),
    [
        ("<think>\n1. hm\n2. well\n</think>\n1. the idea", False, ["", "", "the idea"]),
        ("<think>\n1. hm\n2. well", False, ["", ""]),
        ("1. the idea", True, ["", ""]),
    ],
)
def test_hints_are_those_of_a_reply_and_not_of_its_reasoning(text, cut, hints):
    class Cut(Script):
        async def __call__(self, contexts, problem=None):
            rollouts = await super().__call__(contexts, problem)
            for r in rollouts:
                r.truncated = cut and asks(r.context)
            return rollouts

    script = Cut(lambda c, i: False, text=lambda c: text if asks(c) else "try")
    group, ledger = run(made("self-hint"), script), Ledger()
    assert [c[0].template for c, _ in script.calls] == hints
    ledger.add_update([group], 1)
    assert ledger.dropped_reflections == (len(hints) == 2)


def test_a_teacher_s_answer_that_was_cut_is_not_learnt(monkeypatch):
    from harness.search.asking import Answer

    right, learnt = "so \\boxed{4711}", []
    answers = [Answer(right, 1, 3), Answer(f"{right} and", 1, 3, truncated=True), Answer("", 1, 3, reasoned=True)]
    method = made("sft-teacher", "sft-teacher.teacher.kind=openai", "sft-teacher.teacher.model=m")
    monkeypatch.setattr(type(method), "answers", lambda self, policy: ([PROBLEM] * 3, answers))
    policy = type("P", (), {"finetune": lambda self, pairs, *a: learnt.extend(pairs) or Finetuned(0.0, 1, 3)})()
    ledger = Ledger()
    report = method.end_epoch(0, [], policy, ledger, True)
    assert learnt == [("What?", right)] and ledger.dropped_reflections == 2 and ledger.reflection_tokens == 9
    assert (report.metrics["teacher_answers"], report.metrics["accepted"]) == (3, 1)


def test_no_hint_is_written_where_one_rollout_succeeds_and_the_first_level_that_helps_is_kept():
    script = Script(lambda c, i: i == 5)
    assert run(made("self-hint"), script).successes == 1 and len(script.calls) == 1
    script = Script(lambda c, i: c.template == "the idea", text=lambda c: ANSWER)
    assert run(made("self-hint"), script).rollouts[0].context.template == "the idea" and len(script.calls) == 3


def test_answer_only_and_offline_writers():
    script = Script(lambda c, i: False, text=lambda c: ANSWER)
    run(made("self-hint-answer", problems=[Problem("p0", "What?", "4711")]), script, Problem("p0", "What?", "4711"))
    request = script.calls[1][0][0].rollout
    assert "4711" in request and SOLUTION not in request
    script = Script(lambda c, i: False)
    method = made("self-hint", "self-hint.writer=offline")
    run(method, script)
    assert [len(c[0].template.split()) for c, _ in script.calls] == [0, 1, 2, 3] and method.reference == "none"
    assert made("self-hint").reference == "solution" and made("self-hint-answer").reference == "answer"
    with pytest.raises(UsageError, match="phrases"):
        made("self-hint", "self-hint.writer=offline", phrases=())


def test_the_offline_writer_takes_the_hints_that_come_with_a_problem():
    hinted = replace(PROBLEM, hints=("about parts", "", "one, two, six"))
    method = made("self-hint", "self-hint.writer=offline", problems=[hinted], phrases=())
    assert method.reference == "solution", "they are made from it"
    script = Script(lambda c, i: c.template == "one, two, six")
    group = run(method, script, hinted)
    assert [c[0].template for c, _ in script.calls] == ["", "about parts", "one, two, six"] and group.successes == K


def test_light_moves_levels_between_epochs_and_hints_before_the_first_try():
    from harness.core.types import Group

    method = made("self-hint-light")
    script = Script(lambda c, i: False, text=lambda c: ANSWER)
    assert len(run(method, script).rollouts) == K and len(script.calls) == 1, "level 0 is plain, and there is no retry"
    rng, level = random.Random(1), 0
    for epoch in range(60):
        wins = rng.choice([0, 0, 1, 2, 3, 6])
        group = Group(PROBLEM, [Rollout(Context.plain("x"), "", [], [], 1, reward=float(i < wins)) for i in range(K)])
        counts = method.end_epoch(epoch, [group], None, Ledger(), False).metrics
        level = min(3, level + 1) if wins / K < 0.1 else max(0, level - 1) if wins / K > 0.35 else level
        assert method.levels["p0"] == level and counts[f"level_{level}"] == 1
    method.levels = {"p0": 2}
    script = Script(lambda c, i: False, text=lambda c: ANSWER)
    group = run(method, script)
    assert [c[0].template for c, _ in script.calls] == ["", "the method"] and asks(script.calls[0][0][0])
    assert group.discarded == [] and len(group.requests) == 1
    method.levels = {"p0": 3}  # its hint is refused: plain
    assert run(method, Script(lambda c, i: False, text=lambda c: ANSWER)).rollouts[0].context == Context.plain("What?")


# ---------------------------------------------------------------------- critique-refine


@pytest.mark.parametrize("tell", [True, False])
def test_one_refinement_that_succeeds_joins_the_group(tell):
    method = made("critique-refine", f"critique-refine.tell_answer={tell}", recipe="testbed")
    script = Script(lambda c, i: c.template and i in (2, 4), text="my attempt")
    group = run(method, script)
    assert [len(c) for c, _ in script.calls] == [K, K] and len(group.rollouts) == K
    assert [bool(r.context.template) for r in group.rollouts] == [False] * (K - 1) + [True] and group.successes == 1
    refined = group.rollouts[-1].context
    assert refined.train == "What?" and "my attempt" in refined.rollout and ("4711" in refined.rollout) == tell
    assert len(group.discarded) == K and sum(r.reward for r in group.discarded) == 1, "the other one that succeeded"
    ledger = Ledger()
    ledger.add_update([group], 1)
    assert ledger.leaking_rollouts == tell and method.reference == ("answer" if tell else "none")
    assert method.loss.correction == "shaping" and method.loss.advantage == "group_centre"
    assert made("critique-refine").loss.correction == "mask", "on the paper's recipes, which OpenRLHF can express"


def test_no_refinement_after_a_success_and_none_kept_without_one():
    script = Script(lambda c, i: i == 1)
    assert run(made("critique-refine"), script).discarded == [] and len(script.calls) == 1
    group = run(made("critique-refine"), Script(lambda c, i: False))
    assert group.degenerate and len(group.discarded) == K
    assert {r.context for r in group.rollouts} == {Context.plain("What?")}


def test_refinement_with_the_gradient_on_what_was_sampled():
    method = made("critique-refine", "critique-refine.gradient_context=hinted", recipe="testbed")
    group = run(method, Script(lambda c, i: bool(c.template)))
    refined = group.rollouts[-1].context
    assert refined.train == refined.rollout != "What?" and method.loss.correction == "none"


# ---------------------------------------------------------------------- grpo-dynsample

POOL = [Problem(f"p{i}", f"q{i}", "1") for i in range(30)]


def test_degenerate_groups_are_dropped_and_their_places_refilled():
    def wins(text):  # 0, K and all between: all-wrong, all-right and mixed problems
        return int(text[1:]) % (K + 1)

    method = made("grpo-dynsample", problems=POOL)
    for problem, seed in itertools.product(POOL[:9], range(3)):
        script = Script(lambda c, i: i < wins(c.rollout))
        group = run(method, script, problem, seed)
        tried = [c[0].rollout for c, _ in script.calls]
        assert tried[0] == problem.text and script.calls[0][1] is None
        assert all(p.text == text for text, (_, p) in zip(tried[1:], script.calls[1:], strict=True)), (
            "graded as the problem it is"
        )
        assert all(wins(t) in (0, K) for t in tried[:-1]) and 0 < wins(tried[-1]) < K
        assert group.problem.text == tried[-1] and [r.context.rollout for r in group.discarded] == [
            t for t in tried[:-1] for _ in range(K)
        ]


def test_a_place_is_given_up_after_ten_problems_and_all_of_it_is_metered():
    from harness.training.gather import gather_groups

    method, ledger, asked = made("grpo-dynsample", problems=POOL), Ledger(), []

    def generate(requests):
        rollouts = [
            Rollout(c, "t", [1, 2], [0.0, 0.0], 3, reward=float(p.id == "p0" and i == 0)) for i, (p, c) in enumerate(requests)
        ]
        asked.extend(requests)
        ledger.add_rollouts(rollouts)
        return rollouts

    method.problems = POOL[1:]
    groups = gather_groups(method, POOL[:3], K, generate, (0,))
    ledger.add_update(groups, 1)
    assert [len(g.discarded) for g in groups] == [0, 9 * K, 9 * K] and all(c.rollout == p.text for p, c in asked)
    assert ledger.rollouts == 21 * K == len(asked) and ledger.discarded_rollouts == 18 * K
    assert ledger.generated_tokens == 42 * K and ledger.trained_tokens == 6 * K


# ---------------------------------------------------------------------- gepa-grpo


class Magic:
    """Any problem is solved under a template that holds "alpha"."""

    def rollouts(self, requests, sampling, seed):
        return [Rollout(c, "t", [1], [0.0], 1, reward=float("alpha" in c.rollout)) for _, c in requests]


@pytest.mark.parametrize(("name", "kept"), [("gepa-grpo", True), ("gepa-grpo-dropped", False)])
def test_the_prompt_is_searched_first_then_trained_with(name, kept):
    problems = [Problem(f"p{i}", f"q{i}", "1") for i in range(20)]
    sets = ["gepa-grpo.reflector.kind=offline", "gepa-grpo.evolve.metric_calls=200"]
    method, ledger = made(name, *sets, problems=problems), Ledger()
    report = method.begin(Magic(), ledger)
    best = method.search.best
    assert "alpha" in best and report.metrics["dev_score"] == 1.0
    assert [row["template"] for row in report.templates if row["selected"]] == [best]
    assert report.metrics["search_rollouts"] == ledger.search_rollouts <= 200 == method.costs().begin
    group = run(method, Script(lambda c, i: True), problems[3])
    assert {r.context for r in group.rollouts} == {Context(f"{best}\n\nq3", f"{best}\n\nq3", best)}
    assert method.eval_prompt(problems[0]) == (f"{best}\n\nq0" if kept else "q0")
    other = made(name, *sets, problems=problems)
    other.load_state_dict(method.state_dict())
    assert other.eval_prompt(problems[0]) == method.eval_prompt(problems[0])
    assert method.loss is not None and method.end_epoch(0, [], None, Ledger(), False) == EpochReport()
    assert method.costs().epoch == method.costs().last == 0


@pytest.mark.parametrize("problems", ["all", "hard"])
def test_a_search_alone_takes_the_runs_whole_budget_and_no_more(problems):
    asked = [Problem(f"p{i}", f"q{i}", "1") for i in range(20)]
    sets = ["gepa.reflector.kind=offline", "train.max_rollouts=400", f"train.problems={problems}"]
    method, ledger = made("gepa", *sets, problems=asked), Ledger()
    assert method.costs().last + screening_cost(method) == 400
    keep_hard(method, Magic(), ledger)
    assert ledger.rollouts == (20 * K if problems == "hard" else 0)
    report = method.end_epoch(0, [], Magic(), ledger, last=True)
    assert 400 - (10 + 2 * 3) < ledger.rollouts <= 400, "what is left pays for no further child"
    assert method.eval_prompt(asked[0]) == f"{method.search.best}\n\nq0" and report.metrics["dev_score"] == 1.0


def test_grpo_gepa_searches_once_at_the_end():
    asked = [Problem(f"p{i}", f"q{i}", "1") for i in range(20)]
    sets = ["grpo-gepa.reflector.kind=offline", "grpo-gepa.evolve.metric_calls=200"]
    method, ledger = made("grpo-gepa", *sets, problems=asked), Ledger()
    costs = method.costs()
    assert (costs.group, costs.begin, costs.epoch, costs.last) == (K, 0, 0, 200) and method.loss == method.train.loss
    assert method.end_epoch(0, [], Magic(), ledger, last=False) == EpochReport() and ledger.rollouts == 0
    assert method.eval_prompt(asked[0]) == "q0"
    report = method.end_epoch(1, [], Magic(), ledger, last=True)
    assert report.metrics["search_rollouts"] == ledger.rollouts <= 200
    assert method.eval_prompt(asked[0]) == f"{method.search.best}\n\nq0" != "\n\nq0"
