"""One method, one file. README.md says how to add one: a module, its config class, and a line here."""

METHODS = {
    "grpo": "harness.methods.grpo:GRPO",
    "p2o": "harness.methods.p2o:P2O",
    "gepa": "harness.methods.gepa:PromptOnly",
    "grpo-dynsample": "harness.methods.grpo_dynsample:DynamicSampling",
    "gepa-grpo": "harness.methods.gepa_grpo:GepaGRPO",
    "grpo-gepa": "harness.methods.grpo_gepa:GRPOGepa",
    "prefix-ladder": "harness.methods.prefix_ladder:PrefixLadder",
    "prefix-curriculum": "harness.methods.prefix_curriculum:PrefixCurriculum",
    "self-hint": "harness.methods.self_hint:SelfHint",
    "sft-teacher": "harness.methods.sft_teacher:SFTTeacher",
    "critique-refine": "harness.methods.critique_refine:CritiqueRefine",
}

BASELINE = "grpo"
"""The method that others are compared with unless a comparison names another."""
