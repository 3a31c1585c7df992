#!/usr/bin/env bash
# Re-lock the dependencies named in pyproject.toml: exact versions with hashes, no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { .venv/bin/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-options --no-header --no-annotate --build-deps-for wheel "$@" pyproject.toml; }
lock --output-file requirements.txt
lock --extra test --output-file requirements-test.txt
