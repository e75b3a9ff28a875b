"""Prompt evolution on a scripted policy whose rewards are known."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.types import Context, Problem, Rollout, Sampling
from harness.registry import load_method
from harness.search.asking import ReflectorConfig
from harness.search.beam import draw_parents, feedback, tie_counts
from harness.search.prompt_search import EvolveConfig, Pool, evolve, split
from harness.search.reflect import ReflectionRequest, make_proposer
from support.settings import resolve

GREEDY = Sampling(0.0, 8)
PIECES = ["magic", "spell", "please", "now", "think", "hello"]
WORD = {"m": "magic", "s": "spell"}


class ScriptedPolicy:
    """Solves a problem exactly when the template holds the word for the problem's kind; keeps every call."""

    def __init__(self):
        self.calls = []

    def rollouts(self, requests, sampling, seed):
        self.calls.append([(p.id, c.template) for p, c in requests])
        return [self.rollout(p, c) for p, c in requests]

    def rollout(self, problem, context):
        assert context == Context(insert(context.template, problem.text), problem.text, context.template)
        reward = float(WORD[problem.id[0]] in context.template.split())
        return Rollout(context, "no idea", [1, 2, 3], [0.0] * 3, prompt_tokens=7, reward=reward)


class Script:
    """Proposes what `write(parent template)` says, and keeps its jobs."""

    def __init__(self, write):
        self.write, self.beams, self.errors = write, [], Counter()

    def propose(self, jobs):
        self.beams.append(list(jobs))
        return [self.write(job.template) for job in jobs]


def problems(kinds):
    return [Problem(f"{kind}{i}", f"question {kind}{i}", f"gold{i}") for i, kind in enumerate(kinds)]


DEV, TRAIN = problems("msmsms"), problems("smsmsmsms")


def search(proposer=None, ledger=None, policy=None, seed=1, start=None, **config):
    ledger, policy = ledger if ledger is not None else Ledger(), policy or ScriptedPolicy()
    proposer = proposer or make_proposer(ReflectorConfig(kind="offline"), policy, PIECES, seed, ledger)
    config = EvolveConfig(**{"metric_calls": 600, **config})
    return evolve(DEV, TRAIN, policy, proposer, config, GREEDY, seed, ledger, start)


def test_finds_the_known_best_templates():
    pool = search()
    best = max(range(len(pool.templates_C)), key=lambda c: pool.mean_C[c])
    assert pool.templates_C[0] == "" and pool.mean_C[0] == 0 and pool.parents_C[0] is None
    assert pool.mean_C[best] == 1.0 and {"magic", "spell"} <= set(pool.templates_C[best].split())
    assert pool.dev_ids == [p.id for p in DEV] and pool.minibatch_ids == [p.id for p in TRAIN]
    for template, row_V in zip(pool.templates_C, pool.scores_C_V, strict=True):
        assert row_V == [float(WORD[p.id[0]] in template.split()) for p in DEV]
    assert all(pool.parents_C[c] < c for c in range(1, len(pool.templates_C)))
    assert Pool.from_dict(json.loads(json.dumps(pool.to_dict()))) == pool


def test_strict_acceptance():
    # An equal child ("other") never joins; a better one joins once, also when its template comes again.
    pool = search(Script(lambda parent: "other"), metric_calls=300)
    assert pool.templates_C == [""] and pool.proposals == pool.iterations and pool.accepted == 0
    pool = search(Script(lambda parent: "magic"), metric_calls=300)
    assert pool.templates_C == ["", "magic"] and pool.accepted == 1
    assert pool.duplicates > 0


def test_budget_is_what_is_really_sampled_and_is_not_exceeded():
    for budget in (6, 17, 18, 100, 301, 600):
        policy, ledger = ScriptedPolicy(), Ledger(rollouts=5, search_rollouts=5)
        pool = search(policy=policy, ledger=ledger, metric_calls=budget)
        sampled = sum(map(len, policy.calls))
        assert pool.metric_calls == sampled == ledger.search_rollouts - 5 == ledger.rollouts - 5
        assert budget - (len(DEV) + 2 * 3) < sampled <= budget
        assert ledger.generated_tokens == 3 * sampled and ledger.prompt_tokens == 7 * sampled
    with pytest.raises(UsageError, match="does not pay"):
        search(metric_calls=5)


def test_better_children_that_the_budget_cannot_score_are_turned_away():
    words = itertools.cycle(["magic a", "magic b", "magic c", "spell a", "spell b", "spell c"])
    policy = ScriptedPolicy()
    pool = search(Script(lambda parent: next(words)), policy=policy, metric_calls=60)
    assert pool.unpaid > 0 and pool.metric_calls <= 60
    assert pool.metric_calls == sum(map(len, policy.calls))


def test_released_budget():
    assert EvolveConfig().budget(300) == 11_040
    assert EvolveConfig(metric_calls=50).budget(300) == 50
    with pytest.raises(ValueError):
        EvolveConfig(metric_calls=0)


def walk(policy, proposer, budget):
    """Follows a search's policy calls with its own account of the loop.

    Yields (parents, pool before the iteration, parents that the budget pays for, problems of the minibatches).
    """
    calls = iter(policy.calls)
    left = budget - len(next(calls))
    pool = {"": [0.0] * len(DEV)}
    for beam in proposer.beams:
        parents_call, children_call = next(calls), next(calls)
        parents = [template for _, template in parents_call][::3]
        assert len(parents_call) == len(children_call) == 3 * len(beam)
        assert parents == [job.template for job in beam]
        assert [p for p, _ in parents_call] == [p for p, _ in children_call]
        yield parents, dict(pool), (left - len(DEV)) // 6, [p for p, _ in parents_call]
        left -= 6 * len(beam)
        solved = [[WORD[p[0]] in z.split() for p, z in call] for call in (parents_call, children_call)]
        at = range(0, len(parents_call), 3)
        better = [children_call[i][1] for i in at if sum(solved[1][i : i + 3]) > sum(solved[0][i : i + 3])]
        joined = [z for z in dict.fromkeys(better) if z not in pool][: left // len(DEV)]
        if joined:
            dev_call = next(calls)  # all added children in one call
            assert dev_call == [(p.id, z) for z in joined for p in DEV]
            left -= len(dev_call)
            pool |= {z: [float(WORD[p.id[0]] in z.split()) for p in DEV] for z in joined}
    assert next(calls, None) is None


def brute_force_best_sets(pool):
    """Templates that are best on some dev problem, with the number of problems, straight from the definition."""
    counts = {z: 0 for z in pool}
    for v in range(len(DEV)):
        for z in pool:
            counts[z] += all(pool[z][v] >= pool[other][v] for other in pool)
    return {z: n for z, n in counts.items() if n}


@pytest.mark.parametrize("width", [2, 16])
def test_one_policy_call_per_stage_and_parents_as_by_brute_force(width):
    policy, rng = ScriptedPolicy(), random.Random(3)
    proposer = Script(lambda parent: f"{parent} {rng.choice(PIECES)} {rng.randrange(99)}".strip())
    pool = search(proposer, policy=policy, width=width, metric_calls=2000, seed=4)
    drawn = 0
    for parents, known, payable, _ in walk(policy, proposer, 2000):
        eligible, most = brute_force_best_sets(known), min(width, payable)
        if len(eligible) <= most:
            assert set(parents) == set(eligible)
        else:
            drawn += 1
            assert len(parents) == len(set(parents)) == most and set(parents) <= set(eligible)
    assert pool.iterations == len(proposer.beams) > 3 and len(pool.templates_C) > 3
    assert drawn > 0 if width == 2 else drawn < pool.iterations


def test_minibatches_are_not_reused_before_the_problems_run_out():
    policy = ScriptedPolicy()
    proposer = Script(lambda parent: f"{parent} x".strip())  # never better: one parent an iteration
    search(proposer, policy=policy, metric_calls=200)
    drawn = [batch for *_, batch in walk(policy, proposer, 200)]
    assert len(drawn) > 9
    for i in range(0, len(drawn) - 2, 3):
        assert sorted(sum(drawn[i : i + 3], [])) == sorted(p.id for p in TRAIN)


def test_parents_are_drawn_with_tie_counts_as_weights():
    scores_C_V = [[0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    ties_C = tie_counts(scores_C_V)
    naive = [sum(all(s[v] <= row[v] for s in scores_C_V) for v in range(4)) for row in scores_C_V]
    assert ties_C == naive == [2, 2, 3, 1]
    assert draw_parents([2, 0, 3], 2, random.Random(0)) == [0, 2]
    # Probabilities of every ordered draw without replacement, against frequencies.
    n, drawn = 20_000, Counter()
    rng = random.Random(5)
    for _ in range(n):
        drawn[tuple(draw_parents(ties_C, 2, rng))] += 1
    for a, b in itertools.permutations(range(4), 2):
        exact = ties_C[a] / 8 * ties_C[b] / (8 - ties_C[a])
        assert drawn[a, b] / n == pytest.approx(exact, abs=0.015)


def test_deterministic_and_silent(capfd):
    def run(seed):
        policy, ledger = ScriptedPolicy(), Ledger()
        return search(policy=policy, ledger=ledger, seed=seed), policy.calls, ledger

    assert run(1) == run(1)
    assert run(1)[1] != run(2)[1]
    assert capfd.readouterr() == ("", "")


def test_empty_proposals_cost_no_child():
    policy = ScriptedPolicy()
    pool = search(Script(lambda parent: ""), policy=policy, metric_calls=60)
    assert pool.skipped_empty == pool.iterations > 0 == pool.proposals
    assert [len(call) for call in policy.calls] == [6] + [3] * pool.iterations


def test_carried_pool_enters_and_is_scored_anew():
    stale = Pool(["", "magic", "dud", "spell"], [[0, 0], [1, 0], [0, 0], [1, 1]], [None, 0, 0, 0], ["a", "b"])
    policy, proposer = ScriptedPolicy(), Script(lambda parent: parent)
    pool = search(proposer, policy=policy, start=stale, metric_calls=100, keep=2)
    assert pool.templates_C == ["", "spell", "magic"] and pool.parents_C == [None, None, None]
    assert pool.mean_C == [0, 0.5, 0.5] and pool.accepted == 0 and len(proposer.beams) == pool.iterations
    assert [len(call) for call in policy.calls[:4]] == [6, 1, 2, 12]
    assert pool.metric_calls == sum(map(len, policy.calls)) <= 100
    assert search(proposer, start=stale, metric_calls=14).templates_C == ["", "spell"]


def test_exceptions_of_policy_and_proposer_propagate():
    def fail(parent):
        raise MissingError("the server is gone")

    proposer = Script(fail)
    with pytest.raises(MissingError, match="server is gone"):
        search(proposer)
    assert len(proposer.beams) == 1  # not asked again

    class Broken(ScriptedPolicy):
        def rollouts(self, requests, sampling, seed):
            if len(self.calls) == 2:
                raise RuntimeError("out of memory")
            return super().rollouts(requests, sampling, seed)

    with pytest.raises(RuntimeError, match="out of memory"):
        search(policy=Broken())
    with pytest.raises(ValueError, match="needs dev problems"):
        evolve([], TRAIN, ScriptedPolicy(), proposer, EvolveConfig(), GREEDY, 0, Ledger())


def test_reflection_sees_feedback_with_the_gold_answer_and_plain_inputs():
    proposer = Script(lambda parent: "magic")
    search(proposer, metric_calls=60)
    job: ReflectionRequest = proposer.beams[1][1]
    assert job.template == "magic" and len(job.records) == 3
    for record in job.records:
        assert set(record) == {"Inputs", "Generated Outputs", "Feedback"}
        problem = next(p for p in TRAIN if p.text == record["Inputs"])
        assert problem.answer in record["Feedback"]
        assert record["Feedback"].startswith("Right" if problem.id[0] == "m" else "Wrong")


def test_feedback_kinds():
    problem, context = Problem("p", "q", "42"), Context.plain("q")

    def words(**kw):
        return feedback(problem, Rollout(context, "", [], [], 1, **kw))

    assert words(reward=1.0) == "Right: the final answer is 42, as it should be. Reward: 1."
    unparsed = "Format failure: no final answer could be read. The right answer is 42. Reward: 0."
    assert words(status="unparsed") == unparsed
    assert words(status="timeout").startswith("Wrong") and "42" in words(status="timeout")


def test_abnormal_gradings_are_counted():
    class Slow(ScriptedPolicy):
        def rollout(self, problem, context):
            rollout = super().rollout(problem, context)
            rollout.status = "timeout"
            return rollout

    pool = search(policy=Slow(), metric_calls=50)
    assert pool.errors == {"grading timeout": pool.metric_calls}


def test_insert_and_split():
    assert insert("  be brief \n", "1 + 1?") == "be brief\n\n1 + 1?"
    assert insert("", "1 + 1?") == insert(" \n", "1 + 1?") == "1 + 1?"
    hard = problems("ms" * 10 + "m")
    dev, rest = split(hard, 300, seed=0)
    assert (len(dev), len(rest)) == (10, 11) and sorted(p.id for p in dev + rest) == sorted(p.id for p in hard)
    assert len(split(hard, 4, seed=0)[0]) == 4 and split(hard, 4, seed=0) == split(hard, 4, seed=0) != split(hard, 4, 1)


def test_nothing_is_selected_on_a_question_of_a_suite():
    asked = [replace(p, overlapping_suites=["aime24"]) if i % 3 else p for i, p in enumerate(problems("ms" * 10))]
    dev, rest = split(asked, 300, seed=0)
    assert len(dev) == 7 and not any(p.overlapping_suites for p in dev), "all that no suite asks, for they are fewer than half"
    assert sorted(p.id for p in dev + rest) == sorted(p.id for p in asked)
    policy, ledger = ScriptedPolicy(), Ledger()
    proposer = make_proposer(ReflectorConfig(kind="offline"), policy, PIECES, 0, ledger)
    with pytest.raises(UsageError, match="1 dev problems are questions of aime24, the first is 's0'"):
        dev = [*DEV[:1], replace(problems("s")[0], overlapping_suites=["aime24"])]
        evolve(dev, TRAIN, policy, proposer, EvolveConfig(), GREEDY, 0, ledger)
    assert not policy.calls, "refused before anything is sampled"


# ------------------------------------------------------------------ refused before anything runs

SEARCHING = ("p2o", "gepa", "gepa-grpo", "grpo-gepa")


@pytest.mark.parametrize("method", SEARCHING)
def test_what_would_fail_at_the_first_search_is_refused_at_once(tmp_path, method):
    """In `setup`, which a dry run calls too."""
    problems = [Problem(f"p{i}", f"q{i}", "1") for i in range(200)]
    asked = [replace(p, overlapping_suites=("amc23",)) for p in problems]

    def start(*sets, problems=problems, phrases=()):
        spec = resolve(method, sets=[f"{method}.{s}" for s in sets])
        return load_method(method)(spec.typed_method_config(), spec.train, problems, 0, phrases)

    recording = tmp_path / "recording.jsonl"
    recording.write_text("no JSON\n")
    (tmp_path / "file").touch()
    start("reflector.kind=initial"), start("reflector.kind=offline", phrases=["a"])
    for sets, more, said in (
        (["reflector.kind=offline"], {}, "phrases, and this training set has none"),
        (["reflector.kind=replay", f"reflector.path={tmp_path / 'none'}"], {}, "cannot be read"),
        (["reflector.kind=replay", f"reflector.path={recording}"], {}, "cannot be read"),
        (["reflector.kind=initial", f"reflector.record={tmp_path}"], {}, "cannot be written"),
        (["reflector.kind=initial", f"reflector.record={tmp_path}/file/x"], {}, "cannot be written"),
        (["reflector.kind=initial", "evolve.metric_calls=7", "evolve.dev_size=8"], {}, "does not pay for one evaluation on 8"),
    ):
        with pytest.raises(HarnessError, match=said):
            start(*sets, **more)
    if method == "p2o":  # goes on without templates
        start("reflector.kind=initial", problems=asked)
    else:
        with pytest.raises(HarnessError, match="suites of this run ask every training problem"):
            start("reflector.kind=initial", problems=asked)


def test_p2o_without_a_search_needs_no_reflector():
    spec = resolve("p2o", sets=["p2o.reflector.kind=offline", "p2o.templates=generic"])
    load_method("p2o")(spec.typed_method_config(), spec.train, [Problem("p", "q", "1")], 0)
