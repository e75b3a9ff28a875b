#!/usr/bin/env bash
# A newcomer's first hour: clone, run, add a suite, add a method, compare, file, verify. Ends with what every step took.
#   tests/checks/newcomer.sh FOLDER      (a new one; the clone is of this checkout's last commit)
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
mkdir "$1" && cd "$1"
took=()
step() { # step NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "== $name: $*" >&2
  "$@"
  took+=("$(printf '%-12s %4d s' "$name" $((SECONDS - start)))")
}
said() { # said TEXT: whether the last step's log says so
  grep -qF "$1" log || { cat log; echo "the log does not say: $1" >&2; exit 1; }
}
try() { "$@" >log 2>&1 || { cat log; exit 1; }; }

get() { # a checkout without its history is copied
  git clone -q "file://$checkout" p2o-harness || { mkdir p2o-harness && tar -C "$checkout" --exclude='.venv*' --exclude=.newcomer -cf - . | tar -C p2o-harness -xf -; }
}
step clone get
cd p2o-harness
unset HARNESS_RUN_RECIPE
step "make run" try make run SEEDS=0,1 OUT=runs/demo
said "report: runs/demo/study.html"
export PATH=$PWD/.venv/bin:$PATH

suite() {
  cat >capitals.jsonl <<'EOF'
{"id": "fr", "problem": "How many letters has the capital of France?", "answer": 5}
{"id": "pe", "problem": "How many letters has the capital of Peru?", "answer": 4}
EOF
  harness suite new capitals --from capitals.jsonl --out suites
  sed -i 's/^max_new_tokens:.*/max_new_tokens: 32/' suites/capitals/card.yaml
  harness eval testbed --bench suites/capitals --out runs/capitals
}
step "a suite" try suite
said capitals

method() {
  cat >methods/leave_one_out.py <<'EOF'
"""REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv 2402.14740).

harness run --method leave-one-out --bench ood
"""

from harness.core.types import Group
from harness.methods.grpo import GRPO


class LeaveOneOut(GRPO):
    """GRPO's groups; a rollout's baseline is the mean of the others."""

    def advantages(self, group: Group) -> list[float]:
        total, k = sum(group.rewards_K), len(group.rollouts)
        return [reward - (total - reward) / (k - 1) for reward in group.rewards_K]
EOF
  sed -i 's|^METHODS = {$|&\n    "leave-one-out": "harness.methods.leave_one_out:LeaveOneOut",|' methods/__init__.py
  for arm in grpo leave-one-out; do
    harness run --method $arm --bench id,ood --seeds 0,1,2 --set train.epochs=1 --out runs/$arm
  done
}
step "a method" try method
said "leave-one-out scores"

step compare try harness compare runs/grpo runs/leave-one-out --out runs/answer.html
said "out of distribution"

file() {
  harness leaderboard add runs/grpo --board mine
  harness leaderboard add runs/leave-one-out --board mine
  harness leaderboard build mine
}
step file try file
step verify try harness leaderboard verify mine
said "2 runs verified"
echo "what each step took:"
printf '  %s\n' "${took[@]}"
