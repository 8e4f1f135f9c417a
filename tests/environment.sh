# For scripts to source.

# make_venv FOLDER REQUIREMENTS: a Python environment with these packages, made anew when the list or the Python changes.
make_venv() {
    local venv=$1 requirements=$2 wanted
    wanted=$({ python3 --version; cat "$requirements"; } | cksum)
    if [ "$(cat "$venv/made-from" 2>/dev/null || true)" = "$wanted" ]; then
        return
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    echo "$wanted" >"$venv/made-from"
}
