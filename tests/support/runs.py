"""A finished run with given outcomes by question."""

from harness.plan import Plan
from harness.runs import formats
from harness.runs.files import write_text
from harness.runs.result import write_result
from harness.runs.samples import samples_path
from harness.runs.spec import StoredSpec
from support.results import result, sample


def a_plan():
    """A plan of small numbers, where nothing is planned."""
    counts = {"rollouts": 10, "eval_samples": 5, "generated_tokens": 77, "eval_tokens": 3, "optimiser_steps": 2}
    others = ("problems", "epochs", "batches", "turns", "search_rollouts", "searches", "eval_problems", "eval_passes", "seeds")
    return Plan(
        **counts, **dict.fromkeys(others, 1), by_tokens=False, search=None, asked=0, passes=0, hints=None, not_a_result=None
    )


def write_run(path, found, samples=(), spec=None):
    """A finished run: its result, its settings, and its samples, the rows of all suites."""
    tree = spec if spec is not None else found.spec
    formats.write(path / "spec.json", StoredSpec(hash=found.spec_hash, spec=tree))
    write_result(path, found)
    for name in dict.fromkeys(row.suite for row in samples):
        lines = (formats.json_line(row) for row in samples if row.suite == name)
        write_text(samples_path(path, name), "".join(lines))
    return path


def make_run(path, method, right_S_Q_K, parity_S_Q_K=None, name="tb-long", spec=None, stamp=None, greedy=None, **more):
    """A finished run of one OOD suite from its samples; returns its path. `greedy`: right and parity_S_Q of a greedy pass."""
    S, Q, K = right_S_Q_K.shape
    rows = _rows(name, right_S_Q_K, parity_S_Q_K)
    if greedy is not None:
        right, parity = (None if x is None else x[:, :, None] for x in greedy)
        rows += _rows(name, right, parity, greedy=True)
        more["greedy"] = float(right.mean())
    scores = {s: float(right_S_Q_K[s].mean()) for s in range(S)}
    found = result(method, scores, stamp=stamp, name=name, n=Q, k=K, **more)
    return write_run(path, found, rows, spec or {"method": method, "seeds": list(range(S))})


def _rows(suite, right_S_Q_K, parity_S_Q_K, **own):
    S, Q, K = right_S_Q_K.shape
    return [
        sample(
            suite=suite,
            problem=f"p{q:03d}",
            index=k,
            seed=s,
            score=float(right_S_Q_K[s, q, k]),
            parity=None if parity_S_Q_K is None else float(parity_S_Q_K[s, q, k]),
            completion="x \\ud800",
            tokens=3,
            **own,
        )
        for s in range(S)
        for q in range(Q)
        for k in range(K)
    ]
