# Installs by apt the programs that some tests need and that are missing, where root may do that.
# Sourced by .ci/run. What can't be installed is said and is no failure: its tests are skipped.

# A command and the Debian package that has it; where it counts, the oldest version of use.
TOOLS="chromium:chromium valgrind:valgrind zsh:zsh fish:fish openssl:openssl
       java:default-jre-headless mvn:maven go:golang-go:2:1.21"
FETCH_S=90 # of the packages, in all; a slow mirror must not use up the time of the tests

install_tools() {
    local tool package oldest found wanted=()
    for tool in $TOOLS; do
        command -v "${tool%%:*}" >/dev/null 2>&1 || wanted+=("${tool#*:}")
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "ci: missing, and only root installs by apt: ${wanted[*]%%:*}" >&2
        return 0
    fi
    timeout "$FETCH_S" apt-get -qq update >/dev/null 2>&1 || true
    local packages=()
    for tool in "${wanted[@]}"; do
        package=${tool%%:*} oldest=${tool#"$package"}
        found=$(apt-cache policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: //p')
        if [ "${found:-(none)}" = "(none)" ]; then
            echo "ci: apt has no $package" >&2
        elif [ -n "$oldest" ] && dpkg --compare-versions "$found" lt "${oldest#:}"; then
            echo "ci: apt's $package is $found, older than ${oldest#:}" >&2
        else
            packages+=("$package")
        fi
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    echo "ci: installing ${packages[*]}" >&2
    # Only fetching has an end by the clock: a package half unpacked would be worse than none.
    local apt=(apt-get -qq -y --no-install-recommends)
    export DEBIAN_FRONTEND=noninteractive
    if ! { timeout "$FETCH_S" "${apt[@]}" --download-only install "${packages[@]}" &&
        "${apt[@]}" --no-download install "${packages[@]}"; } >/dev/null 2>&1; then
        echo "ci: apt could not install all of: ${packages[*]}" >&2
    fi
}
