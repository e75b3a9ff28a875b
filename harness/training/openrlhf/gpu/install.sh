#!/usr/bin/env bash
# An environment with the harness, OpenRLHF 0.11.2, vLLM, Ray, DeepSpeed and FlashAttention, on a machine with GPUs.
# usage: install.sh VENV   (from the checkout; needs nvcc of torch's CUDA: FlashAttention may have to be compiled)
set -euo pipefail
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
${PYTHON:-python3} -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
# 1. torch first: the next two look at it when they are built.
pip install -c "$here/constraints.txt" torch setuptools wheel packaging ninja psutil
# 2. Without build isolation, which would hide it from them.
pip install -c "$here/constraints.txt" --no-build-isolation flash-attn deepspeed
# 3. All the rest.
pip install -c "$here/constraints.txt" -e "$here/../../../..[openrlhf]"
"$venv/bin/python" -c 'import torch; assert torch.version.cuda, "this torch has no CUDA"'
