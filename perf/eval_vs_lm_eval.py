"""`harness eval` against lm-eval's own `hf` model on the same task file: same policy, prompts, greedy decoding, grader.

    python perf/eval_vs_lm_eval.py --data-dir DATA [--model smollm2-135m-instruct] [--problems 50] [--new 256]

GSM8K test problems, float32, the same number of rows side by side in both. Prints the share of equal completions, the
number of problems whose grade differs, and the ratio of the wall times (loading left out), ours / theirs.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

SUITE = "gsm8k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--new", type=int, default=256)
    args = parser.parse_args()
    os.environ.update(HARNESS_DATA_DIR=str(args.data_dir), OMP_WAIT_POLICY="PASSIVE", TOKENIZERS_PARALLELISM="false")

    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from harness.config import resolve_eval
    from harness.data.suites import benchmarks_dir, load_suite
    from harness.evaluation.engines import make_engine
    from harness.evaluation.evaluate import evaluate
    from harness.models import locate

    decoding = {"decoding": {"kind": "greedy"}, "max_new_tokens": args.new, "limit": args.problems}
    spec = resolve_eval([], [], {"model": {"id": args.model}}, {"eval": {"bench": SUITE, **decoding}})
    source = str(locate(spec, False))
    engine = make_engine(spec, source, False)
    evaluate([load_suite(SUITE)], engine, lambda p: p.text, 0, args.data_dir, spec.eval.model_copy(update={"limit": 2}))
    start = time.perf_counter()
    [ours] = evaluate([load_suite(SUITE)], engine, lambda p: p.text, 0, args.data_dir, spec.eval)
    our_s = time.perf_counter() - start

    model = HFLM(pretrained=source, dtype="float32", batch_size=args.problems, device="cpu")
    tasks = TaskManager(include_path=str(benchmarks_dir()), include_defaults=False)

    def plain(limit: int) -> dict:
        task = tasks.load([SUITE])["tasks"][SUITE]
        task.set_config("repeats", 1)
        return lm_eval.simple_evaluate(
            model,
            tasks=[task],
            limit=limit,
            apply_chat_template=True,
            log_samples=True,
            bootstrap_iters=0,
            gen_kwargs=f"do_sample=false,temperature=0,max_gen_toks={args.new}",
        )

    plain(2)
    start = time.perf_counter()
    out = plain(args.problems)
    their_s = time.perf_counter() - start
    docs = sorted(out["samples"][SUITE], key=lambda doc: doc["doc_id"])
    texts = [doc["resps"][0][0] for doc in docs]
    grades = [doc["graded"][0]["score"] for doc in docs]
    equal = sum(a == b["completion"] for a, b in zip(texts, ours.samples, strict=True))
    differ = sum(a != b["score"] for a, b in zip(grades, ours.samples, strict=True))
    print(f"{len(docs)} problems, score {ours.avg:.3f} and {sum(grades) / len(grades):.3f}, unparsed {ours.unparsed:.0%}")
    print(f"equal completions {equal} of {len(docs)}, other grade {differ}")
    print(f"harness {our_s:.1f} s, lm-eval hf {their_s:.1f} s, ratio {our_s / their_s:.2f}")


if __name__ == "__main__":
    main()
