.PHONY: all test lint types docs bench
all: lint types test

test:
	uv run pytest

lint:
	uv run ruff check . && uv run ruff format --check . && uv run lint-imports

types:
	uv run mypy

docs:
	uv run python docs/generate.py

bench:
	uv run python -m benchmarks
