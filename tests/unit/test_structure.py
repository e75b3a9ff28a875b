"""The house stays one: its limits, and the picture of it in CONTRIBUTING.md."""

from support import structure
from support.paths import ROOT


def test_files_and_functions_have_one_subject():
    assert structure.long_files(ROOT) == []
    assert structure.long_functions(ROOT) == []


def test_what_a_run_left_is_read_by_its_models():
    assert structure.key_reads(ROOT) == []


def test_few_modules_lie_in_no_package():
    assert len(structure.loose_modules(ROOT)) <= 8


def test_the_picture_is_of_this_code():
    assert structure.picture(ROOT) in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_counts_count(tmp_path):
    (tmp_path / "harness" / "stats").mkdir(parents=True)
    body = "def f(result):\n" + "    x = 1\n" * 70 + "    return result['suites'], result.get('ledger'), result.get(key)\n"
    (tmp_path / "harness" / "stats" / "a.py").write_text("from harness.b import c\n" + body + "\n" * 300)
    (tmp_path / "harness" / "b.py").write_text("import harness.stats\n")
    assert structure.long_files(tmp_path) == ["harness/stats/a.py"]
    assert structure.long_functions(tmp_path) == ["harness/stats/a.py:2 f"]
    assert [place.split()[1] for place in structure.key_reads(tmp_path)] == ["suites", "ledger"]
    assert structure.loose_modules(tmp_path) == ["b"]
    assert structure.packages(tmp_path) == {"stats": {"b"}, "b": {"stats"}}


def test_the_readmes_tree_is_true():
    text = (ROOT / "README.md").read_text().split("## Where things are")[1].split("```")[1]
    said: set[str] = set()
    folder = ""
    for line in text.strip().splitlines():
        if not line.startswith("   "):  # a continued remark is further in
            names = [word for word in line[:24].split() if word.endswith(("/", ".py"))]
            folder = "" if not line.startswith(" ") else "harness/"
            said |= {folder + name for name in names}
    assert [path for path in sorted(said) if not (ROOT / path).exists()] == []
    inside = {f"harness/{p.name}/" for p in (ROOT / "harness").iterdir() if (p / "__init__.py").exists()}
    inside |= {f"harness/{name}.py" for name in structure.loose_modules(ROOT)}
    assert inside <= said
    top = {f"{p.name}/" for p in ROOT.iterdir() if p.is_dir() and any(p.rglob("*.py")) and not p.name.startswith(".")}
    assert top - {"build/", "dist/", "runs/"} <= said | {"p2o_harness.egg-info/"}
