# `make run` and `make test` do all their own set-up; `make venv` makes the environment alone. `make rehearse` and
# `make test-openrlhf` use an environment of their own, with OpenRLHF, vLLM, Ray and DeepSpeed, for machines without a GPU.
VENV ?= .venv
PYTHON ?= python3
OUT ?= runs/demo-$(shell date -u +%Y%m%dT%H%M%S)
SEEDS ?= 0,1,2,3,4
HARNESS := $(VENV)/bin/harness
VENV_OPENRLHF ?= .venv-openrlhf
VENV_OLDEST ?= .venv-oldest
VENV_WHEEL ?= .venv-wheel
REHEARSAL := harness/training/openrlhf/rehearsal

export OMP_WAIT_POLICY = PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test docs mutants test-grading test-wheel test-newcomer test-oldest test-browser venv venv-oldest rehearse rehearse-nightly test-openrlhf venv-openrlhf
.DELETE_ON_ERROR:

run: $(VENV)/.runs
	@$(HARNESS) study run skills-demo --seeds $(SEEDS) --jobs 2 --out $(OUT)

test: venv
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/unit
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/smoke

# The site, into build/docs. A broken link or reference is an error; nothing is fetched.
docs: venv
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 PATH=$(abspath $(VENV))/bin:$$PATH $(VENV)/bin/python -m mkdocs build --strict -q

# Whether a grade is a proof or a rejection: 20,000 pairs of known verdict, docs/grading_properties.md.
SEED ?= 0
test-grading: venv
	$(VENV)/bin/python tests/checks/grading_properties.py --graders ours --seed $(SEED)

# Whether the tests notice what is changed in the code, module after module; goes on where it stopped. Hours on few cores.
MINUTES ?= 300
MODULES ?=
mutants: venv
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[mutants]'
	$(VENV)/bin/python tests/robustness/mutants.py --minutes $(MINUTES) $(if $(SAMPLE),--sample $(SAMPLE)) $(MODULES)

venv: $(VENV)/.installed

$(VENV)/.runs: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[local]'
	@touch $@

$(VENV)/.installed: $(VENV)/.runs
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[local,test]'
	@touch $@

# The wheel as a user installs it: in an empty environment, used outside of the checkout.
WHEEL_RUN := run --method p2o --bench sk-id --seeds 0 --limit 4 --set train.epochs=1 --set skills.problems=32 --out run
test-wheel:
	rm -rf $(VENV_WHEEL) build && $(PYTHON) -m venv $(VENV_WHEEL)
	$(VENV_WHEEL)/bin/python -m pip wheel -q --no-deps -w $(VENV_WHEEL)/dist .
	$(VENV_WHEEL)/bin/python -m pip install -q -c constraints.txt $(VENV_WHEEL)/dist/*.whl
	cd $(VENV_WHEEL) && bin/harness list methods && bin/harness claim list
	$(VENV_WHEEL)/bin/python -m pip install -q -c constraints.txt "$$(ls $(VENV_WHEEL)/dist/*.whl)[local]"
	cd $(VENV_WHEEL) && bin/harness $(WHEEL_RUN) && bin/harness report run

# A newcomer's path from the clone to a verified board of one's own, with the time of every step.
test-newcomer:
	rm -rf .newcomer && tests/checks/newcomer.sh .newcomer && rm -rf .newcomer

# Whether the lower bounds in pyproject.toml are true. Python 3.11 or 3.12: the oldest numpy has no wheel for newer ones.
test-oldest: venv-oldest
	$(VENV_OLDEST)/bin/python -m mypy
	$(VENV_OLDEST)/bin/lint-imports
	$(VENV_OLDEST)/bin/python -m pytest -n 2 --dist loadfile tests/unit

venv-oldest: $(VENV_OLDEST)/.installed

# A line of the first file wins. torch as in constraints.txt: older ones bring a CUDA runtime of gigabytes.
$(VENV_OLDEST)/.installed: pyproject.toml constraints-oldest.txt constraints.txt
	$(PYTHON) -m venv $(VENV_OLDEST)
	awk -F== '/^(#|$$)/ {next} {n = tolower($$1); gsub(/[-_.]+/, "-", n)} !seen[n]++' constraints-oldest.txt constraints.txt > $(VENV_OLDEST)/constraints.txt
	$(VENV_OLDEST)/bin/python -m pip install -q -c $(VENV_OLDEST)/constraints.txt -e '.[local,test]'
	@touch $@

rehearse: venv-openrlhf
	$(VENV_OPENRLHF)/bin/harness run --method p2o --recipe testbed --bench ood --backend openrlhf --rehearse --config $(REHEARSAL)/short.yaml --limit 20

test-openrlhf: venv-openrlhf
	$(VENV_OPENRLHF)/bin/python -m pytest -o addopts=-q -o timeout=1800 -m "not slow" --durations=15 tests/openrlhf

# What the tests above leave out for time: every arm in a run of its own, two nodes, more kinds of kills. Some 50 starts.
rehearse-nightly: venv-openrlhf
	$(VENV_OPENRLHF)/bin/python -m pytest -o addopts=-q -o timeout=1800 -m slow --durations=0 tests/openrlhf

venv-openrlhf: $(VENV_OPENRLHF)/.installed

$(VENV_OPENRLHF)/.installed: pyproject.toml $(REHEARSAL)/install.sh $(REHEARSAL)/constraints.txt
	$(REHEARSAL)/install.sh $(VENV_OPENRLHF)

# Needs a chromium on the PATH (Debian: apt-get install chromium); the tests are skipped without one.
test-browser: venv
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[test-browser]'
	$(VENV)/bin/python -m pytest -o addopts=-q tests/browser
