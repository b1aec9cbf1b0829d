# Everything runs in .venv, which is made on first use and again only when the list of packages changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
export OMP_WAIT_POLICY = PASSIVE

.PHONY: app lab test campaign bench notebooks screenshots lint browser clean

app: $(INSTALLED)  ## open the dashboard, with the embedded videos rendered
	$(BIN)/ffn data --split test
	$(BIN)/streamlit run app.py

lab: $(INSTALLED)  ## open the notebooks
	$(BIN)/jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint browser  ## lint, types, every test, the notebooks and the browser: 20 minutes at most on two cores
	$(BIN)/pytest -m "not campaign and not browser" -n 2 --dist loadfile
	$(BIN)/pytest -m "browser and not campaign"

campaign: browser  ## the long proofs
	$(BIN)/pytest -m campaign

bench: $(INSTALLED)  ## ratios measured side by side in one run
	$(BIN)/python tests/bench.py

notebooks: $(INSTALLED)  ## every notebook in full, as HTML in build/notebooks
	PLOTLY_RENDERER=plotly_mimetype+notebook $(BIN)/jupyter nbconvert --to html --execute \
		--CoalesceStreamsPreprocessor.enabled=True --output-dir build/notebooks notebooks/*.ipynb

screenshots: browser  ## every page in light, dark and on a phone, in screenshots/
	$(BIN)/pytest tests/test_browser.py -k screenshots

browser: $(INSTALLED)  ## a Chromium for the browser test, where there is none
	@$(BIN)/python tests/browser.py

clean:
	rm -rf .venv build

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[all]" --constraint constraints.txt
	@touch $@
