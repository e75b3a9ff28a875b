"""The openrlhf backend: the same methods on Ray, vLLM and DeepSpeed, through OpenRLHF 0.11.2, unforked.

backend.py     the harness's side: starts the driver, follows it, asks it for completions, leaves nothing behind
flags.py       the recipe's terms in OpenRLHF's flags
job.py         what both sides know of a seed, in files
driver.py      OpenRLHF's own command line with our trainer
trainer.py     a subclass of its trainer: the epochs, the epoch hook on its vLLM engines, the context ratio
executor.py    its agent: one rollout group per prompt
rehearsal/     the stand-ins for a GPU
"""
