#!/bin/sh
# Both gates on a change, for any CI: sh gates.sh BASE_REVISION [SUITE]
#
# The exit code is the gravest of both: 1 proven to be worse, else what went wrong by itself (any code but 0 and 3),
# else 3 for what cannot be decided, else 0. With SUMMARY=file both add their tables to it in Markdown. With
# VERDICTS=folder both write their verdicts there as JSON. GATE_OPTIONS and PERF_OPTIONS are added to the commands:
# GATE_OPTIONS=--trust runs local files of the suite. PERF=no leaves out the performance gate, which needs a package
# with parts of ganbench.
base=${1:?say which revision the change is compared with}
suite=${2:-gate}
export GITHUB_STEP_SUMMARY="${SUMMARY:-${GITHUB_STEP_SUMMARY:-/dev/null}}"

if [ -n "${VERDICTS:-}" ]; then  # those of an earlier job are not of this change
  rm -f "$VERDICTS/gate.json" "$VERDICTS/perf.json"
fi
ganbench gate "$suite" --device cpu ${VERDICTS:+--verdict "$VERDICTS/gate.json"} ${GATE_OPTIONS:-}
quality=$?
speed=0
if [ "${PERF:-yes}" != no ]; then
  ganbench perf --base "$base" ${VERDICTS:+--verdict "$VERDICTS/perf.json"} ${PERF_OPTIONS:-}
  speed=$?
fi

echo "quality gate: $quality, performance gate: $speed"
if [ "$quality" -eq 1 ] || [ "$speed" -eq 1 ]; then exit 1; fi
for code in "$quality" "$speed"; do # a killed gate has 137, and a missing one 127
  if [ "$code" -ne 0 ] && [ "$code" -ne 3 ]; then exit "$code"; fi
done
exit $((quality > speed ? quality : speed)) # 3 or 0
