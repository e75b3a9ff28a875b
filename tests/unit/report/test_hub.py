"""A policy for the hub: which files, what card and results say, and a push to a server that speaks the hub's endpoints."""

import base64
import json

import pytest
import yaml
from werkzeug import Response

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.report import hub
from harness.runs.files import write_text
from harness.runs.sums import write_sums
from support.boards import make_run
from support.command import harness

WEIGHTS = bytes(range(256)) * 8


@pytest.fixture
def run(tmp_path):
    """Scores by hand: 3/8, 5/8, 4/8."""
    made = make_run(tmp_path / "p2o-run")
    final = made / "ckpt" / "s1" / "final"
    write_text(final / "config.json", "{}")
    (final / "model.safetensors").write_bytes(WEIGHTS)
    write_sums(final)
    return made


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """No account of whoever runs the tests."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))


def test_the_folder(run, tmp_path, capsys):
    out = tmp_path / "out"
    code, said, err = harness(capsys, "export", "policy", run, "--seed", "1", "--out", out, "--dataset", "tb-long=me/chains")
    assert code == 0, err
    own = {f"p2o-harness/{name}.json" for name in ("spec", "result", "ledger")}
    names = {"README.md", ".eval_results/p2o-harness.yaml", "config.json", "model.safetensors", "SHA256SUMS", *own}
    assert {name for name, _ in hub.listing(out)} == names and all(name in said for name in names)
    assert (out / "model.safetensors").read_bytes() == WEIGHTS and not (out / "model.safetensors").is_symlink()
    everything = "".join(p.read_text(errors="replace") for p in out.rglob("*") if p.is_file())
    assert str(tmp_path) not in everything, "nothing says where it was"
    [row] = yaml.safe_load((out / ".eval_results" / "p2o-harness.yaml").read_text())
    assert row["value"] == 62.5 and "the policy of training seed 1; over 3 seeds 50.0" in row["notes"]
    assert "These weights are those of training seed 1, one of 3" in (out / "README.md").read_text()


def test_the_card_is_one_that_the_client_reads(run, tmp_path):
    from huggingface_hub import ModelCard

    hub.write_package(run, tmp_path / "out", 1, "https://example.org/page", ["tb-long=me/chains"])
    card = ModelCard.load(tmp_path / "out" / "README.md")
    [found] = card.data.eval_results
    assert (found.dataset_type, found.metric_type, found.metric_value) == ("me/chains", "accuracy", 62.5)
    assert found.source_url == "https://example.org/page"


def test_a_dry_run_shows_all_and_writes_nothing(run, tmp_path, capsys, nobody):
    before = sorted(p for p in tmp_path.rglob("*"))
    code, said, _ = harness(capsys, "export", "policy", run, "--seed", "1", "--dry-run")
    assert code == 0 and said.startswith("the policy of seed 1, 8 files:") and f"{len(WEIGHTS):,}  model.safetensors" in said
    assert "# testbed, p2o on testbed" in said
    assert sorted(p for p in tmp_path.rglob("*") if p.name != ".lock") == before


class Hub:
    """The endpoints that a push asks, and what was sent to them."""

    def __init__(self, server, takes=True):
        self.seen, self.files, self.commit = [], {}, {}
        for path, answer in {
            "/api/repos/create": self.create,
            "/api/validate-yaml": lambda q: {"errors": [], "warnings": []},
            "/api/models/me/policy/preupload/main": self.preupload,
            "/api/models/me/policy/commit/main": self.take if takes else self.refuse,
        }.items():
            server.expect_request(path, method="POST").respond_with_handler(self.noting(answer))
        self.url = server.url_for("").rstrip("/")

    def noting(self, answer):
        def handler(request):
            self.seen.append((request.path, request.headers.get("Authorization")))
            found = answer(request)
            return found if isinstance(found, Response) else Response(json.dumps(found), content_type="application/json")

        return handler

    def create(self, request):
        self.asked = request.get_json()
        return {"url": f"{self.url}/me/policy", "name": "me/policy"}

    def preupload(self, request):
        return {
            "files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in request.get_json()["files"]]
        }

    def take(self, request):
        for line in request.get_data().splitlines():
            row = json.loads(line)
            if row["key"] == "file":
                self.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
            elif row["key"] == "header":
                self.commit = row["value"]
        return {"commitUrl": f"{self.url}/me/policy/commit/abc", "commitOid": "abc", "pullRequestUrl": None}

    def refuse(self, request):
        return Response(json.dumps({"error": "you may not"}), status=403, content_type="application/json")


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_tests")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_a_push_sends_what_the_folder_holds(run, tmp_path, capsys, httpserver, monkeypatch, token):
    server = Hub(httpserver)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    code, said, err = harness(capsys, "export", "policy", run, "--seed", "1", "--push", "me/policy")
    assert code == 0, err
    assert said == f"pushed: {server.url}/me/policy/commit/abc\n"
    hub.write_package(run, tmp_path / "out", 1, None, [])
    assert server.files == {name: (tmp_path / "out" / name).read_bytes() for name, _ in hub.listing(tmp_path / "out")}
    assert server.asked["name"] == "policy" and server.asked["organization"] == "me"
    assert server.asked.get("private") is True or server.asked.get("visibility") == "private"
    assert server.commit["summary"] == "The policy of seed 1 of p2o-run"
    assert {auth for path, auth in server.seen if path != "/api/validate-yaml"} == {"Bearer hf_of_the_tests"}


def test_a_refusal_is_one_sentence(run, capsys, httpserver, monkeypatch, token):
    server = Hub(httpserver, takes=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    code, _, err = harness(capsys, "export", "policy", run, "--seed", "1", "--push", "me/policy")
    assert code == 1 and "the hub refuses me/policy: " in err and "you may not" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "words, kind, said",
    [
        (["--push", "policy"], UsageError, "--push 'policy' is no name of a repository, which is USER/NAME"),
        (["--push", "a/b/c"], UsageError, "is no name of a repository"),
        (["--push", "me/po licy"], UsageError, "is no name of a repository"),
        (["--push", "me/policy"], MissingError, "there is no token of the hub: `hf auth login`, or set HF_TOKEN"),
        (["--dry-run", "--push", "me/policy"], MissingError, "there is no token of the hub"),
        (["--dry-run", "--seed", "7"], UsageError, "has no seed 7; it has 0, 1, 2"),
        (["--dry-run"], MissingError, "holds no trained policy of seed 0"),
        ([], UsageError, "say what to do with the policy"),
        (["--out", "x", "--push", "me/policy"], UsageError, "say what to do with the policy"),
        (["--out", "."], UsageError, "already holds files"),
    ],
)
def test_bad_input(run, capsys, nobody, monkeypatch, words, kind, said):
    monkeypatch.chdir(run)
    code, _, err = harness(capsys, "export", "policy", run, *words)
    assert (code, said in err, err.count("\n")) == (kind.exit_code, True, 1), err


def test_what_is_no_policy_of_a_result(run, tmp_path, capsys, monkeypatch):
    code, _, err = harness(capsys, "export", "model-card", run, "--push", "me/policy")
    assert code == 2 and "--push is for `harness export policy`" in err
    stamped = make_run(tmp_path / "s", stamp="4 problems")
    code, _, err = harness(capsys, "export", "policy", stamped, "--dry-run")
    assert code == 2 and "is not a result" in err
    (run / "ckpt" / "s1" / "final" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(HarnessError, match="model.safetensors is damaged"):
        hub.write_package(run, tmp_path / "out", 1, None, [])
    assert not (tmp_path / "out").exists()


def test_a_secret_is_not_exported(run, tmp_path, monkeypatch):
    """As if the card held it."""
    monkeypatch.setenv("MY_TOKEN", "testbed, p2o on")
    with pytest.raises(UsageError, match=r"README.md would hold the value of MY_TOKEN; nothing is exported"):
        hub.write_package(run, tmp_path / "out", 1, None, [])
    assert not (tmp_path / "out").exists()
