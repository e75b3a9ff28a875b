"""One method, one file. README.md says how to add one: a module, its config class, a line here."""

METHODS = {
    "grpo": "harness.methods.grpo:GRPO",
    "p2o": "harness.methods.p2o:P2O",
    "gepa": "harness.methods.gepa:PromptOnly",
}
