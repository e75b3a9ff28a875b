"""The lines of launch files that are not the harness's own, against the command lines of Ray and vLLM themselves."""

import re
import shlex

import click
import pytest

from harness.config import resolve
from harness.registry import recipes
from harness.training.openrlhf.launch import launch_file

OPENRLHF = [name for name in recipes() if resolve("grpo", name).backend.name == "openrlhf"]


def lines(kind, program):
    """Every call of a program in the files of all recipes, as words; variables stand for themselves."""
    found = set()
    for recipe in OPENRLHF:
        text = launch_file(kind, resolve("p2o", recipe), ["--method", "p2o", "--recipe", recipe], "OUT")
        found |= set(re.findall(rf"^(?:srun .*? )?(?:\w+=\S+ )?{program} (.*?)(?: > .*)?(?: &)?$", text, re.M))
    return [shlex.split(line) for line in sorted(found)]


def accepts(command, words):
    """Raises click's error for an option that the command does not have."""
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, command, words = command.resolve_command(context, words)
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(args=list(words))


@pytest.mark.parametrize(("kind", "first"), [("slurm", "start"), ("ray", "job")])
def test_ray_knows_every_option(kind, first):
    from ray.scripts.scripts import cli

    found = [words for words in lines(kind, "ray") if words[0] == first]
    assert found
    for words in found:
        accepts(cli, words[: words.index("--")] + ["--", "true"] if "--" in words else words)
    with pytest.raises(click.NoSuchOption):
        accepts(cli, [*found[0][:1], *(["submit"] if first == "job" else []), "--no-such-option"])


def test_vllm_knows_every_option():
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    found = lines("slurm", "vllm")
    assert found
    for words in found:
        assert words[0] == "serve"
        args = make_arg_parser(FlexibleArgumentParser()).parse_args(words[1:])
        assert (args.max_model_len, args.port) == (32768, 8000)
