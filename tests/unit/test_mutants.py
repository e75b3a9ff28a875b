"""The table of tests/robustness/mutants.py: every module that decides something is in it, with tests that exist."""

import ast
import importlib.util

import pytest

from support.paths import ROOT

SPEC = importlib.util.spec_from_file_location("mutants", ROOT / "tests" / "robustness" / "mutants.py")
mutants = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutants)


@pytest.mark.parametrize("package", ["grading", "leaderboard"])
def test_no_module_is_left_out(package):
    """But for those that hold no function."""
    with_functions = {
        f"{package}/{path.name}"
        for path in (ROOT / "harness" / package).glob("*.py")
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert with_functions <= set(mutants.MODULES)


@pytest.mark.parametrize("module", mutants.MODULES)
def test_modules_and_their_tests_exist(module):
    assert (ROOT / "harness" / module).is_file() and mutants.MODULES[module]
    for name in mutants.MODULES[module]:
        file, _, function = name.partition("::")
        text = (ROOT / mutants.UNIT / file).read_text()
        assert f"def {function or 'test_'}" in text


def test_modules_of_equal_tests_share_a_folder():
    assert mutants.partners("grading/split.py") == mutants.partners("grading/equal.py")
    assert (
        mutants.folder_of("grading/split.py") == mutants.folder_of("grading/equal.py") != mutants.folder_of("grading/units.py")
    )


def test_what_is_explained_is_of_a_module_of_the_table():
    for entry in mutants.EXPLAINED:
        assert entry["module"] in mutants.MODULES and entry["now"] and entry["why"].endswith("."), entry
