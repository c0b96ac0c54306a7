#!/bin/sh
# Adds a measurement to the history, and publishes its page: sh history.sh [SUITE]
#
# The branch gh-pages keeps history.jsonl, and its index.html is the page. With BASE=revision, speed is measured too.
# With COMMITS=A..B, counts of these commits are measured too, if the history lacks them.
# The exit code is 0 if the history was published, whatever the gates decide: this is a record, not a gate.
suite=${1:-gate}
branch=${PAGES_BRANCH:-gh-pages}
first=ganbench-first-history # a local branch without parents, until the first push
start=$PWD
pages=$(mktemp -d) || exit 1
trap 'cd "$start"; git worktree remove --force "$pages/site"; git branch -qD "$first" 2>/dev/null || true; rm -rf "$pages"' EXIT
set -e

if git fetch origin "$branch"; then
  git worktree add --detach "$pages/site" FETCH_HEAD
else
  git branch -qD "$first" 2>/dev/null || true
  git worktree add --detach "$pages/site"
  git -C "$pages/site" checkout --orphan "$first"
  git -C "$pages/site" rm -rfq --ignore-unmatch .
fi
ganbench gate "$suite" --device cpu --history "$pages/site/history.jsonl" ${GATE_OPTIONS:-} || echo "quality gate: $?"
if [ -n "${BASE:-}" ]; then
  ganbench perf --base "$BASE" --history "$pages/site/history.jsonl" ${PERF_OPTIONS:-} || echo "performance gate: $?"
fi
if [ -n "${COMMITS:-}" ]; then
  ganbench history backfill "$pages/site/history.jsonl" --commits "$COMMITS" ${BACKFILL_OPTIONS:-} || echo "backfill: $?"
fi
ganbench history "$pages/site/history.jsonl" --page "$pages/site/index.html"
touch "$pages/site/.nojekyll"
cd "$pages/site"
git add history.jsonl index.html .nojekyll
git -c user.name=history -c user.email=history@localhost commit -qm "Add a measurement of ${GITHUB_SHA:-a commit}"
git push origin "HEAD:refs/heads/$branch"
