"""A trained policy as a folder for the hub: weights, card, results in the hub's format, and what the run says of itself.

    config.json, model.safetensors, ...   the policy of one seed, as it lies in the run
    README.md                             its model card
    .eval_results/p2o-harness.yaml        its scores, as the hub reads them
    p2o-harness/spec.json, result.json, ledger.json    all settings; scores and costs of all seeds

Nothing of it says where the run lies, or which commands made it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.extras import require
from harness.core.secrets import planted_in
from harness.core.text import one_line
from harness.report.export import export_seed, publishable
from harness.runs import formats
from harness.runs.files import write_text
from harness.runs.result import write_result
from harness.runs.rundir import RunDir
from harness.runs.spec import SPEC_FILE, load_spec, read_spec
from harness.runs.sums import SUMS, check_sums

OWN = "p2o-harness"
"""Folder, in the repository, of what the run says of itself."""


def package(run: Path, out: Path, seed: int | None = None, url: str | None = None, datasets: Sequence[str] = ()) -> int:
    """Fill the empty folder `out` with all that would be pushed; the seed whose policy it is (by default the first).

    Weights are links to those of the run, so that nothing large is copied. Raises UsageError for an evaluation, a run that is
    not a result, an unknown seed, or a text with one of the environment's secrets; MissingError where the policy is not there;
    HarnessError where it is damaged.
    """
    if not isinstance(load_spec(run), RunSpec):
        raise UsageError(f"{run} is an evaluation, which trains no policy; export the run that did")
    result = publishable(run)
    seed = result.seeds[0] if seed is None else seed
    if seed not in result.seeds:
        raise UsageError(f"{run} has no seed {seed}; it has {', '.join(map(str, result.seeds))}")
    final = RunDir(run).final(seed)
    if not final.is_dir():
        raise MissingError(f"{run} holds no trained policy of seed {seed} ({final})")
    if (final / SUMS).exists():
        check_sums(final)
    card, results = export_seed(run, seed, url, datasets)
    stored = read_spec(run)
    write_text(out / "README.md", card)
    write_text(out / ".eval_results" / "p2o-harness.yaml", results)
    formats.write(out / OWN / SPEC_FILE, replace(stored, cards={}))
    write_result(out / OWN, replace(result, run=run.name))
    for path in (p for p in out.rglob("*") if p.is_file()):
        if name := planted_in(path.read_text()):
            raise UsageError(f"{path.name} would hold the value of {name}; nothing is exported")
    for path in sorted(p for p in final.rglob("*") if p.is_file()):
        target = out / path.relative_to(final)
        if target.exists():
            continue  # a card that training wrote
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.absolute())
    return seed


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every file of a package with its bytes, in order."""
    found = [p for p in folder.rglob("*") if p.is_file()]
    return sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in found)


def write_package(run: Path, out: Path, seed: int | None, url: str | None, datasets: Sequence[str]) -> list[tuple[str, int]]:
    """`package` as a folder of its own, whole or not at all; returns its files. Raises UsageError where files already are."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out} already holds files; name another --out")
    with tempfile.TemporaryDirectory() as temporary:
        package(run, Path(temporary), seed, url, datasets)
        shutil.copytree(temporary, out, dirs_exist_ok=True)
    return listing(out)


def check_name(name: str) -> None:
    """Raises UsageError for a name that no repository of the hub can have, MissingError where there is no token."""
    require("huggingface_hub")
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        whole = name.count("/") == 1
    except HFValidationError:
        whole = False
    if not whole:
        raise UsageError(f"--push {name!r} is no name of a repository, which is USER/NAME or ORGANISATION/NAME")
    if get_token() is None:
        raise MissingError("there is no token of the hub: `hf auth login`, or set HF_TOKEN")


def push(run: Path, name: str, seed: int | None, url: str | None, datasets: Sequence[str]) -> str:
    """Push the package as one commit into the repository `name`, a new one private; returns the commit's address.

    Raises as `check_name` and `package`, all before anybody is asked, and HarnessError in the hub's words where it refuses.
    """
    check_name(name)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with tempfile.TemporaryDirectory() as temporary:
        seed = package(run, Path(temporary), seed, url, datasets)
        api = HfApi(library_name="p2o-harness")
        try:
            api.create_repo(name, private=True, exist_ok=True)
            done = api.upload_folder(
                repo_id=name, folder_path=temporary, commit_message=f"The policy of seed {seed} of {run.name}"
            )
        except HfHubHTTPError as e:
            raise HarnessError(f"the hub refuses {name}: {one_line(e.server_message or str(e))}") from None
        except (OSError, ValueError) as e:  # no network; a card that it does not take
            where = os.environ.get("HF_ENDPOINT", "the hub")
            raise HarnessError(f"cannot push {name} to {where}: {one_line(str(e))[:300]}") from None
    return str(done.commit_url)
