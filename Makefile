.PHONY: demo test check bench clean setup
.DEFAULT_GOAL := demo

BIN := .venv/bin

demo: setup  ## Set up, start the planner, index the demo cases, ask three questions.
	@$(BIN)/overread demo

setup:
	@scripts/setup.sh

test: setup  ## Every check, then every test, the slow ones too.
	@scripts/setup_debian.sh
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -ra -n 2 --dist loadfile

check: setup  ## Format, lint, types and the import contract.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Held-out phantom questions: the agent beside its bare planner, with times.
	@$(BIN)/python -m overread.evals.phantom_questions --n 60 --out runs/phantom-questions

clean:  ## Remove what was built and cached; .venv and the data folder stay.
	rm -rf build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
