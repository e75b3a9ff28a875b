"""A finished run with given outcomes by question."""

import json

from harness.runs.files import write_json
from support.results import result


def make_run(path, method, right_S_Q_K, parity_S_Q_K=None, name="tb-long", spec=None, stamp=None, **more):
    """A finished run of one OOD suite from its samples; returns its path."""
    S, Q, K = right_S_Q_K.shape
    rows = [
        {
            "suite": name,
            "problem": f"p{q:03d}",
            "index": k,
            "seed": s,
            "score": float(right_S_Q_K[s, q, k]),
            "parity": None if parity_S_Q_K is None else float(parity_S_Q_K[s, q, k]),
            "completion": "x \\ud800",
            "tokens": 3,
        }
        for s in range(S)
        for q in range(Q)
        for k in range(K)
    ]
    (path / "samples").mkdir(parents=True)
    (path / "samples" / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    scores = {s: float(right_S_Q_K[s].mean()) for s in range(S)}
    r = result(method, scores, stamp=stamp, n=Q, k=K, **more)
    r["suites"] = {name: r["suites"].pop("tb-long")}
    write_json(path / "result.json", {**r, "run": str(path)})
    write_json(path / "spec.json", {"hash": "f" * 64, "spec": spec or {"method": method, "seeds": list(range(S))}})
    return path
