"""A run on OpenRLHF as a file for a cluster: a batch job of Slurm, or a job on a Ray cluster that is up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from typing import Literal
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined

from harness.config import RunSpec
from harness.core.errors import UsageError
from harness.registry import method_of
from harness.training.openrlhf.flags import LOCAL, divides

Kind = Literal["slurm", "ray"]
PLACEHOLDER = "HEAD"
"""The host of a recipe's server for several nodes, whose name only the cluster knows."""


def serves_reflector(spec: RunSpec) -> bool:
    """Whether the recipe expects a reflection server on the node itself, which takes a GPU of its own."""
    reflector = spec.method_config.get("reflector", {})
    host = urlsplit(reflector.get("base_url") or "").hostname or ""
    return reflector.get("kind") == "openai" and host.upper() in {PLACEHOLDER, *map(str.upper, LOCAL)}


def launch_file(kind: Kind, spec: RunSpec, words: Sequence[str], out: str) -> str:
    """The file's text. `words`: the options of `harness run` and `harness doctor` that made the spec, apart from --out.

    A reflection server that the recipe expects on the node itself gets a GPU of its own in a Slurm job, and training the most
    of the others that an update can be split over. A Ray cluster places jobs where it likes: there the address is asked for.
    Raises UsageError for a spec of another backend, and where no GPU is left to train on.
    """
    backend, reflector = spec.backend, spec.method_config.get("reflector", {})
    if backend.name != "openrlhf":
        raise UsageError(f"recipe {spec.recipe} trains with backend {backend.name}, which needs no cluster: harness run")
    address, served = urlsplit(reflector.get("base_url") or ""), serves_reflector(spec)
    gpus, more = backend.gpus_per_node, []
    if served and kind == "slurm":
        gpus = divides(spec, backend.gpus_per_node - 1)
        if not gpus:
            raise UsageError(
                f"{reflector['model']} on a GPU of its own leaves none to train on; serve it elsewhere and name it by "
                f"{method_of(spec.method)}.reflector.base_url"
            )
        more = [] if gpus == backend.gpus_per_node else [f"backend.gpus_per_node={gpus}"]
    template = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    source = (files("harness.training.openrlhf") / "gpu" / f"{kind}.sh.j2").read_text()
    return template.from_string(source).render(
        name=re.sub(r"[^\w.-]+", "-", f"{spec.method}-{spec.recipe}"),
        nodes=backend.nodes,
        asked=backend.gpus_per_node,
        gpus=gpus,
        served=served,
        server=shlex.quote(str(reflector.get("model"))),
        port=address.port or 8000,
        address=f"{method_of(spec.method)}.reflector.base_url",
        words=shlex.join([*words, *(word for item in more for word in ("--set", item))]),
        out=shlex.quote(out),
    )
