"""P2O's decisions on scripted rollouts: who is hard, who gets which template, what the gradient sees, what is paid."""

import asyncio
import itertools
import math
import random
from collections import Counter

import pytest

from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.types import Context, Group, Problem, Rollout
from harness.methods.p2o import P2O, greedy_cover
from harness.search.prompt_search import Pool
from support.settings import resolve

PROBLEMS = [Problem(f"p{i:02d}", f"question {i}", str(i)) for i in range(40)]


def method(*sets, seed=0):
    spec = resolve("p2o", sets=["p2o.min_hard=4", *sets])
    return P2O(spec.typed_method_config(), spec.train, PROBLEMS, seed, ["magic", "words"])


def rollout(context, reward):
    return Rollout(context, "text", [1, 2], [-1.0, -1.0], 5, reward=reward)


def groups(successes):
    return [Group(p, [rollout(Context.plain(p.text), float(i < successes[p.id])) for i in range(6)]) for p in PROBLEMS]


class MagicPolicy:
    """Problems with an even id are solved by any template with "magic", odd ones by one with "words"."""

    def __init__(self):
        self.seen = []

    def rollouts(self, requests, sampling, seed):
        self.seen.append((len(requests), sampling.temperature))
        return [rollout(c, float(("magic", "words")[int(p.id[1:]) % 2] in c.rollout)) for p, c in requests]


def run_group(m, problem):
    async def sample(contexts):
        return [rollout(c, 0.0) for c in contexts]

    return asyncio.run(m.rollout_group(problem, 6, sample, random.Random(0)))


def test_first_epoch_is_plain_grpo():
    group = run_group(method(), PROBLEMS[0])
    assert [r.context for r in group.rollouts] == [Context.plain("question 0")] * 6


@pytest.mark.parametrize(("tau", "hard"), [(1, {0}), (2, {0, 1}), (4, {0, 1, 2, 3})])
def test_hard_is_fewer_successes_than_tau(tau, hard):
    successes = {p.id: i % 7 for i, p in enumerate(PROBLEMS)}
    mined = method(f"p2o.hard_below={tau}").mine(0, groups(successes), MagicPolicy(), Ledger())
    assert {p.id for p in mined} == {p.id for p in PROBLEMS if successes[p.id] in hard}


def test_after_an_epoch_hard_problems_are_rolled_out_with_templates_that_solve_them():
    m, ledger, policy = method(), Ledger(rollouts=240), MagicPolicy()
    hard = PROBLEMS[:20]
    metrics = m.end_epoch(0, groups({p.id: 0 if p in hard else 6 for p in PROBLEMS}), policy, ledger, last=False).metrics
    assert metrics["hard_problems"] == 20 and metrics["dev_solved"] == 1.0
    assert set(m.assigned) == {p.id for p in hard}
    for p in hard:
        group = run_group(m, p)
        for r in group.rollouts:
            z = r.context.template
            assert z and r.context.rollout == insert(z, p.text) == f"{z}\n\n{p.text}"
            assert r.context.train == p.text, "context distillation: the gradient sees the original prompt"
    dev = set(m.search.pool.dev_ids)
    for p in hard:
        if p.id in dev:  # dev problems draw only from templates that solve them
            word = ("magic", "words")[int(p.id[1:]) % 2]
            assert all(word in z for z in m.assigned[p.id])
    assert run_group(m, PROBLEMS[30]).rollouts[0].context == Context.plain("question 30")
    assert ledger.search_rollouts == metrics["search_rollouts"] == sum(n for n, _ in policy.seen)
    assert {t for _, t in policy.seen} == {0.0}, "metric calls are greedy"


def test_gate_clears_templates():
    m = method("p2o.min_hard=30")
    m.assigned = {"p00": ["old"] * 6}
    made = groups({p.id: 0 if i < 20 else 6 for i, p in enumerate(PROBLEMS)})
    report = m.end_epoch(0, made, MagicPolicy(), Ledger(), last=False)
    assert m.assigned == {} and report.metrics["search_rollouts"] == 0 and report.templates == []


def test_last_epoch_mines_but_does_not_search():
    m, policy = method(), MagicPolicy()
    report = m.end_epoch(3, groups({p.id: 0 for p in PROBLEMS}), policy, Ledger(), last=True)
    assert report.metrics["hard_problems"] == 40 and report.templates == []
    assert policy.seen == []


@pytest.mark.parametrize(("left", "searches"), [(800, False), (801, True)])
def test_no_search_that_leaves_no_rollout_to_use_its_templates_in(left, searches):
    m, ledger = method("train.max_rollouts=5000"), Ledger(rollouts=5000 - left)
    m.end_epoch(0, groups({p.id: 0 for p in PROBLEMS}), MagicPolicy(), ledger, last=False)
    assert (ledger.search_rollouts > 0) == searches == bool(m.assigned) and ledger.rollouts <= 5000


def test_gradient_context_switch():
    context = method("p2o.gradient_context=hinted").context(Problem("p", "x", "1"), "z")
    assert context.train == context.rollout == "z\n\nx"
    assert method("p2o.gradient_context=hinted").loss.correction == "none"
    assert method().loss.correction == "mask" and method().loss.ratio_band == (0.01, 10.0)


DEV = ["p00", "p01", "p02", "p03"]


def pool_of(scores_C_V, minibatch):
    return Pool(["", "a", "b"], scores_C_V, [None, 0, 0], DEV, [p.id for p in minibatch])


def test_templates_are_drawn_with_replacement_by_mean_dev_score():
    m = method("train.rollouts_per_prompt=6000")
    assigned = m.draw(pool_of([[0] * 4, [1, 1, 1, 0], [0, 0, 1, 0]], PROBLEMS[4:6]), [1, 2], seed=1)
    assert set(assigned) == {f"p0{i}" for i in range(6)}, "dev and minibatch problems alike"
    assert set(assigned["p00"]) == {"a"}, "a dev problem draws among its solvers"
    share = Counter(assigned["p04"])["b"] / 6000
    assert share == pytest.approx(0.25 / (0.75 + 0.25), abs=5 * math.sqrt(0.25 * 0.75 / 6000))
    assert set(assigned["p03"]) == {"a", "b"}, "an unsolved dev problem draws from the whole cover"


def test_same_template_and_plain_share():
    m = method("p2o.same_template_in_group=true")
    scores = [[0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]
    assigned = m.draw(pool_of(scores, PROBLEMS[4:30]), [1, 2], seed=1)
    assert all(len(set(z)) == 1 for z in assigned.values()) and len({z[0] for z in assigned.values()}) == 2
    m = method("p2o.plain_share=0.5")
    drawn = m.draw(pool_of(scores, PROBLEMS[4:9]), [1, 2], seed=1)
    assert len(drawn) == 9 and all(z.count("") == 3 and len(z) == 6 for z in drawn.values())
    assert m.draw(pool_of(scores, PROBLEMS[4:9]), [], seed=1) == {}, "no cover, no templates"


def test_plain_mining_measures_templated_problems_again_and_pays_for_it():
    m, ledger = method("p2o.mining=plain"), Ledger()
    made = groups({p.id: 6 for p in PROBLEMS})
    for g in made[:10]:
        g.rollouts = [rollout(Context("z\n\n" + g.problem.text, g.problem.text, "z"), 1.0) for _ in range(6)]
    mined = m.mine(0, made, MagicPolicy(), ledger)
    assert {p.id for p in mined} == {p.id for p in PROBLEMS[:10]}, "solved with a template, not without"
    assert ledger.search_rollouts == 60


def test_greedy_cover_against_brute_force():
    rng = random.Random(0)
    for _ in range(200):
        scores = [[float(rng.random() < 0.3) for _ in range(6)] for _ in range(5)]
        pool = Pool([str(c) for c in range(5)], scores, [None] * 5, [f"p{v}" for v in range(6)])
        cover = greedy_cover(pool)
        union = lambda cs, scores=scores: {v for c in cs for v in range(6) if scores[c][v]}  # noqa: E731
        everything = union(range(5))
        assert union(cover) == everything and len(set(cover)) == len(cover)
        smallest = next(n for n in range(6) if any(union(cs) == everything for cs in itertools.combinations(range(5), n)))
        assert len(cover) <= smallest * (1 + math.log(6)), "the greedy bound"
    assert greedy_cover(Pool(["", "a"], [[1, 1], [1, 1]], [None, 0], ["p0", "p1"])) == [0], "ties go to the lowest index"
    assert greedy_cover(Pool(["", "a"], [[0, 0], [0, 0]], [None, 0], ["p0", "p1"])) == []


def test_state_survives_json():
    import json

    m, other = method(), method()
    m.end_epoch(0, groups({p.id: 0 for p in PROBLEMS}), MagicPolicy(), Ledger(), last=False)
    other.load_state_dict(json.loads(json.dumps(m.state_dict())))
    assert other.assigned == m.assigned and other.search.pool == m.search.pool


def test_contradictions_with_the_training_settings():
    spec = resolve("p2o", sets=["p2o.hard_below=7"])
    with pytest.raises(ValueError, match="hard_below 7 exceeds"):
        P2O.check(spec.typed_method_config(), spec.train)


def test_templates_without_a_search():
    """Every source in place of GEPA: who gets how many templates, none of which costs a rollout."""
    made = groups({p.id: 0 if i < 20 else 6 for i, p in enumerate(PROBLEMS)})
    hard = {p.id for p in PROBLEMS[:20]}
    assigned = {}
    for source in ("reflection", "random", "generic", "none"):
        m, ledger, policy = method(f"p2o.templates={source}"), Ledger(), MagicPolicy()
        report = m.end_epoch(0, made, policy, ledger, last=False)
        assert report.metrics == {"hard_problems": 20, "seen_problems": 40, "search_rollouts": 0} and m.costs().epoch == 0
        assert [row["selected"] for row in report.templates] == [True] * 20 * (source == "reflection")
        assert policy.seen == [] and ledger.rollouts == 0
        assigned[source] = m.assigned
        method(f"p2o.templates={source}").load_state_dict(m.state_dict())
    assert assigned["none"] == {} and all(set(assigned[s]) == hard for s in ("reflection", "random", "generic"))
    assert all(len(z) == 6 for s in ("reflection", "random", "generic") for z in assigned[s].values())
    assert all(len(set(z)) == 1 for z in assigned["reflection"].values()), "one reflection per problem"
    assert {z for zs in assigned["generic"].values() for z in zs} == {"think step by step"}
    for source in ("reflection", "random", "generic"):
        m = method(f"p2o.templates={source}", "p2o.plain_share=0.5", "p2o.same_template_in_group=true")
        m.end_epoch(0, made, MagicPolicy(), Ledger(), last=False)
        assert all(z[:3] == [""] * 3 and z[3] and len(set(z[3:])) == 1 and len(z) == 6 for z in m.assigned.values())
    assert method("p2o.templates=random", "p2o.mining=plain").costs().epoch == len(PROBLEMS) * 6
    drawn = [z for zs in assigned["random"].values() for z in zs]
    assert {w for z in drawn for w in z.split()} == {"magic", "words"} and len(set(drawn)) > 10


def test_a_reflection_that_gives_the_answer_away_is_refused(monkeypatch):
    import harness.search.prompt_search as module

    class Parrot:
        """Writes the feedback of the first record, which holds the gold answer; nothing for problem 3."""

        def propose(self, jobs):
            assert all(len(j.records) == 3 and j.template == "" for j in jobs)
            return ["look twice" if "question 3" in j.records[0]["Inputs"] else j.records[0]["Feedback"] for j in jobs]

    monkeypatch.setattr(module, "make_proposer", lambda *args: Parrot())
    m, ledger = method("p2o.templates=reflection"), Ledger()
    m.end_epoch(0, groups({p.id: 0 if i in (3, 12, 13, 14, 15) else 6 for i, p in enumerate(PROBLEMS)}), None, ledger, False)
    assert m.assigned == {"p03": ["look twice"] * 6} and ledger.refused_hints == 4
