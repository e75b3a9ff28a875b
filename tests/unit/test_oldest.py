"""The lower bounds in pyproject.toml are the versions that `make test-oldest` installs."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.paths import ROOT


def pins(name):
    lines = [line.split("#")[0] for line in (ROOT / name).read_text().splitlines()]
    return {canonicalize_name(n): Version(v) for n, v in (line.split("==") for line in lines if line.strip())}


def direct():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = map(Requirement, [*project["dependencies"], *extras["local"], *extras["test"]])
    return [(canonicalize_name(r.name), s.operator, Version(s.version)) for r in needs for s in r.specifier]


def test_every_direct_dependency_has_one_bound():
    assert {operator for _, operator, _ in direct()} == {">=", "=="}
    assert len({name for name, *_ in direct()}) == len(direct())


def test_lower_bounds_are_pinned():
    assert {n: v for n, o, v in direct() if o == ">=" and n != "torch"}.items() <= pins("constraints-oldest.txt").items()
    assert "torch" not in pins("constraints-oldest.txt"), "as in constraints.txt"


def test_exact_versions_stand_in_one_file():
    exact = {n: v for n, o, v in direct() if o == "=="}
    assert exact.items() <= pins("constraints.txt").items() and not exact.keys() & pins("constraints-oldest.txt").keys()


def test_nothing_is_held_back_to_a_newer_version():
    newest = pins("constraints.txt")
    assert all(v <= newest.get(n, v) for n, v in pins("constraints-oldest.txt").items())
