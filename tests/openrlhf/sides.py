"""The local backend's steps on what OpenRLHF sampled and trained on, and the weights of both sides."""

import torch

from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.files import read_jsonl
from harness.runs.spec import load_spec

BATCHES = [(0, 0), (0, 1), (1, 0), (1, 1)]


class Local:
    """The local backend's own steps on groups that another backend sampled."""

    def __init__(self, out):
        from harness.training.local.backend import LocalBackend
        from harness.training.update import Updater

        self.spec, self.rows = load_spec(out), read_jsonl(out / "rollouts" / "s0.jsonl")
        self.backend = LocalBackend(self.spec)
        self.model = self.backend.model.bfloat16()
        loss = self.spec.typed_method_config().loss(self.spec.train.loss)
        self.updater = Updater(self.model, self.spec.train, loss, self.backend.pad, 8192)
        self.metrics = {}

    def weights(self):
        """The float32 masters by name."""
        names = (name for name, _ in self.model.named_parameters())
        return {k: m.detach().clone() for k, m in zip(names, self.updater.masters, strict=True)}

    def step(self, epoch, batch):
        groups = [self.group(r) for r in self.rows if (r["epoch"], r["batch"]) == (epoch, batch)]
        _, self.metrics[epoch, batch] = self.updater.step(groups, self.backend.encode)

    def group(self, row):
        rollouts = []
        for r in row["rollouts"]:
            x = self.backend.encode(r["context"]["rollout"])
            y = self.backend.tokenizer(r["text"], add_special_tokens=False)["input_ids"]
            y += [] if r["truncated"] else [self.backend.tokenizer.eos_token_id]
            assert len(y) == r["tokens_T"]
            with torch.no_grad():
                logits = self.model(torch.tensor([x + y])).logits[0, len(x) - 1 : -1].float() / self.spec.train.temperature
            logps_T = torch.log_softmax(logits, -1).gather(1, torch.tensor(y)[:, None])[:, 0].tolist()
            rollouts.append(Rollout(Context(**r["context"]), r["text"], y, logps_T, r["prompt_tokens"], reward=r["reward"]))
        return Group(Problem(row["problem"], "", ""), rollouts)


def both(out):
    """Of a run by `running.p2o_command` with keep: per side the weights at the start and after the batches whose checkpoints
    are kept (1, 2 and 4 of them), by name; and what the local side measured of each batch."""
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    local = Local(out)
    mine = [local.weights()]
    for at in BATCHES:
        local.step(*at)
        mine.append(local.weights())
    kept, theirs = out / "openrlhf" / "s0" / "kept" / "_actor", {0: mine[0]}
    for n, tag in ((1, "e0000-b00001"), (2, "e0000-b00002"), (4, "e0001-b00002")):
        loaded = get_fp32_state_dict_from_zero_checkpoint(str(kept), tag=tag)
        theirs[n] = {k: loaded[k].float() for k in mine[0] if k in loaded}
        assert len(theirs[n]) >= len(mine[0]) - 1  # a tied head is stored once
    return mine, theirs, local.metrics


def agreement(mine, theirs, start, end):
    """Cosine of the two updates between two of those moments, and the length of OpenRLHF's over that of ours."""
    a, b = (torch.cat([(side[end][k] - side[start][k]).flatten() for k in theirs[4]]) for side in (mine, theirs))
    return torch.cosine_similarity(a.double(), b.double(), 0).item(), (b.norm() / a.norm()).item()
