#!/usr/bin/env bash
# Builds and tests on every CPython from 3.10 to 3.13 that this machine has: on PATH, or in pyenv.
# Each gets a fresh virtual environment; VERSIONS="3.10 3.13" picks some, arguments go to pytest.
set -uo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v pyenv > /dev/null; then
  PYENV_VERSION=$(pyenv versions --bare | grep -E '^3\.1[0-3]\.[0-9]+$' | sort -V | paste -sd:)
  export PYENV_VERSION
fi
failed=0
for version in ${VERSIONS:-3.10 3.11 3.12 3.13}; do
  if ! "python$version" -c "" 2> /dev/null; then
    echo "=== Python $version: SKIPPED, no python$version on PATH"
    continue
  fi
  echo "=== Python $version"
  if "python$version" -m venv "$work/$version" &&
    "$work/$version/bin/pip" install -q --disable-pip-version-check ".[test]" &&
    "$work/$version/bin/pytest" "$@"; then
    echo "--- Python $version: passed"
  else
    echo "--- Python $version: FAILED"
    failed=1
  fi
done
exit $failed
