# Sourced by scripts/demo and scripts/test: one virtual environment, made once, safe to run again.
# It is made anew when the list of tested versions, the package's version list or Python changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment="${BMEPIPE_VENV:-.venv}"
python="${PYTHON:-python3}"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "expected Python 3.11 or newer; got $("$python" --version 2>&1);" \
       "install one and run: PYTHON=/path/to/python3 $0" >&2
  exit 1
}

wanted="$(cat requirements-tested.txt pyproject.toml | sha256sum | cut -d' ' -f1) $("$python" --version)"
if [ "$(cat "$environment/.installed" 2>/dev/null || true)" != "$wanted" ]; then
  echo "Making the virtual environment $environment (once; about 1.5 GB) ..."
  "$python" -m venv "$environment"
  # torch first: a bare request for it can pull several GB of CUDA libraries
  "$environment/bin/python" -m pip install --quiet "$(grep '^torch==' requirements-tested.txt)"
  "$environment/bin/python" -m pip install --quiet -c requirements-tested.txt -e '.[batch,train,test]'
  echo "$wanted" > "$environment/.installed"
fi
export PATH="$PWD/$environment/bin:$PATH"
