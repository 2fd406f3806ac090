# Makes the environment in .venv on the first call, and again when the lock or pyproject.toml changed.
# Sourced by ci/run and ci/test. The lock pins every package with its hash; the project itself is
# installed after it without dependencies, since pip refuses hashes together with a local path.
# ACCTBENCH_PYTHON names another interpreter (3.11 or later).

environment_python() {
    local candidate
    for candidate in "${ACCTBENCH_PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "ci: Python 3.11 or later is needed; set ACCTBENCH_PYTHON to its path" >&2
    return 2
}

make_environment() {
    local root=$1 python stamp
    stamp=$(cat "$root/ci/requirements.lock" "$root/pyproject.toml" | cksum)
    if [ "$(cat "$root/.venv/stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    python=$(environment_python)
    echo "ci: making the environment in .venv (once)" >&2
    rm -rf "$root/.venv"
    "$python" -m venv "$root/.venv"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-compile --require-hashes -r "$root/ci/requirements.lock" >&2
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --editable "$root" >&2
    # pip would compile on one core; some packages hold files for another Python, which can't be.
    "$root/.venv/bin/python" -m compileall -q -j 0 "$root/.venv/lib" >/dev/null 2>&1 || true
    printf '%s\n' "$stamp" >"$root/.venv/stamp"
}
