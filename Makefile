# Five verbs. Everything else needed is Python >= 3.11; apt is used where we are root on Debian.
PY := .venv/bin/python
LINT = $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

.PHONY: run test check bench docs
run: .venv/run
	$(PY) -m hilum serve --demo --data demo-data

test: .venv/test
	$(PY) scripts/system_packages.py
	$(LINT)
	$(PY) -m pytest -n 2

check: .venv/test
	$(LINT)
	$(PY) -m pytest -n 2 -m "not slow"

bench: .venv/test
	$(PY) scripts/system_packages.py
	$(PY) benchmarks/run.py

docs: .venv/test
	$(PY) scripts/write_reference.py

.venv/bin/python:
	python3 -m venv .venv

.venv/run: requirements.txt .venv/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv/test: requirements-test.txt .venv/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@ .venv/run
