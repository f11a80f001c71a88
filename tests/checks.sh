# Sourced by the suites that are shell: counts checks, installs tools. Ends with "N passed, N failed".
# The suite's own files are in $work, which goes when it ends.
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: passed if the command succeeds; its output is shown if not.
check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok        $name"
  else
    failed=$((failed + 1))
    echo "FAILED    $name"
    tail -n 60 "$work/out"
  fi
}

# counted NAME COMMAND...: a program that counts its own checks, on its last line.
counted() {
  check "$@"
  local p f
  read -r p f < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$work/out" | tail -n 1)
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0}))
}

# fresh: a directory that nobody used.
fresh() { mktemp -d "$work/data.XXXXXX"; }

# deb PACKAGE..: an attempt to install Debian's packages.
deb() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >/dev/null 2>&1
}

# have TOOL PACKAGE: the tool, or an attempt to install the Debian package that has it.
have() { command -v "$1" >/dev/null 2>&1 || { deb "$2" && command -v "$1" >/dev/null 2>&1; }; }

# skip WHAT WHY: a part that can't run here.
skip() {
  if [ "${CI:-}" = true ]; then
    failed=$((failed + 1))
    echo "FAILED    $1: $2"
  else
    echo "skipped $1: $2"
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
}
