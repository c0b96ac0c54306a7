"""Posts verdicts of ganbench on a pull request or a merge request.

    python verdicts.py github FOLDER --expect gate,perf
    python verdicts.py gitlab FOLDER
    python verdicts.py junit FOLDER > report.xml

FOLDER has gate.json, perf.json or check.json, as `--verdict` writes them. They may come from a fork, so nothing
in them is trusted: the schema beside this script validates them, and their texts are shown as code. The pull
request is looked up by the commit of the workflow. Needs Python 3.11 and jsonschema.
"""

import argparse
import json
import os
import sys
import unicodedata
import urllib.request
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from jsonschema import Draft202012Validator

Verdict = dict[str, Any]
COMMANDS = ("gate", "perf", "check")
EXIT_CODES = {"passed": 0, "regressed": 1, "cannot decide": 3}
SERIOUS_FIRST = ("regressed", "no verdict", "cannot decide", "passed")
UNCHANGED = ("identical", "equivalent")
GITHUB_BOT = "github-actions[bot]"  # the author of comments by a workflow's token
# Files that decide what a gate does, as patterns of their whole paths.
GUARDED = (".github/*", ".gitlab-ci.yml", "ci/*", "Makefile", "*.baseline.json")
MAX_FILE_BYTES = 4_000_000
MAX_TEXT_CHARACTERS = 400
MAX_FILES_SHOWN = 5
MAX_LINES = 40  # of a list or a table
MAX_BODY_CHARACTERS = 60_000  # both hosts refuse long bodies
PAGE_SIZE = 100
TIMEOUT_SECONDS = 30


class BadVerdict(Exception):
    """A file that is no verdict."""


# Reading


def read_verdicts(folder: Path, expected: list[str]) -> tuple[list[Verdict], list[str]]:
    """Returns the valid verdicts of a folder, and a sentence for each problem."""
    verdicts, problems = [], []
    for command in COMMANDS:
        path = folder / f"{command}.json"
        if not path.exists() and not path.is_symlink():
            problems += [f"{path.name} is missing"] if command in expected else []
            continue
        try:
            verdicts.append(read_verdict(path, command))
        except BadVerdict as error:
            problems.append(f"{path.name} is no verdict: {error}")
    if not verdicts and not problems:
        problems.append("there is no verdict")
    return verdicts, problems


def read_verdict(path: Path, command: str) -> Verdict:
    """Reads and validates a file; raises BadVerdict."""
    if path.is_symlink() or not path.is_file():
        raise BadVerdict("it is no plain file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadVerdict("it is too long")
    try:
        content = json.loads(path.read_bytes(), parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise BadVerdict("it is not JSON") from None
    schema = json.loads(Path(__file__).with_name("verdict.schema.json").read_bytes())
    if error := next(Draft202012Validator(schema).iter_errors(content), None):
        place = "/".join(map(str, error.absolute_path)) or "the whole"
        raise BadVerdict(f"{place} is against the schema")
    if content["command"] != command or content["code"] != EXIT_CODES[content["verdict"]]:
        raise BadVerdict("its command, verdict and code do not fit together")
    return dict(content)


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def join_verdicts(verdicts: list[Verdict], problems: list[str]) -> str:
    """Returns the most serious verdict, or `no verdict` for a problem."""
    words = [verdict["verdict"] for verdict in verdicts] + ["no verdict"] * bool(problems)
    return min(words, key=SERIOUS_FIRST.index)


# Markdown


def code(text: object) -> str:
    """Returns a text as a code span, in which no markup, link or mention works.

    Backticks would end the span, and bars the cell of a table. Control characters and those that reverse
    the direction of text are replaced.
    """
    line = " ".join(str(text).split())
    kept = "".join(c if is_harmless(c) else "\N{REPLACEMENT CHARACTER}" for c in line)
    if len(kept) > MAX_TEXT_CHARACTERS:
        kept = kept[: MAX_TEXT_CHARACTERS - 1] + "…"
    kept = kept.replace("`", "'").replace("|", "¦").strip()
    return f"`{kept or '-'}`"


def is_harmless(character: str) -> bool:
    return unicodedata.category(character)[0] != "C"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def render_body(name: str, verdicts: list[Verdict], problems: list[str], notes: list[str]) -> str:
    """Renders a comment; its first line is the mark by which it is found again."""
    lines = [mark_of(name), f"## {name}: {join_verdicts(verdicts, problems)}", ""]
    lines += [f"- {code(problem)}" for problem in problems]
    lines += [f"- {note}" for note in notes]
    for verdict in verdicts:
        lines += ["", f"### {code(verdict['title'])}: {verdict['verdict']}", ""]
        lines += shorten_list([f"- {code(line)}" for line in verdict["sentences"]], "- … {} more")
        lines += render_table(verdict)
    return shorten_body("\n".join(lines) + "\n")


def mark_of(name: str) -> str:
    return f"<!-- verdicts of {name} -->"


def render_table(verdict: Verdict) -> list[str]:
    rows = [[*map(code, names), *cells] for names, cells in table_rows(verdict)]
    if not rows:
        return []
    heads = {
        "gate": ["cell", "metric", "baseline", "now", "verdict"],
        "perf": ["benchmark", "base", "head", "head / base", "verdict"],
    }[verdict["command"]]
    lines = [join_cells(row) for row in rows]
    table = [join_cells(heads), join_cells(["---"] * len(heads))]
    return ["", *table, *shorten_list(lines, "| … {} more |")]


def table_rows(verdict: Verdict) -> Iterator[tuple[list[str], list[str]]]:
    """Yields names and numbers of the tests of a gate, or of the benchmarks that changed."""
    for test in verdict.get("tests", ()):
        numbers = [number(test["before"]), number(test["after"]), test["verdict"]]
        yield [test["cell"] or "all cells", test["name"]], numbers
    for one in verdict.get("comparisons", ()):
        if one["verdict"] not in UNCHANGED:
            numbers = [number(one[key]) for key in ("base", "head", "ratio")]
            yield [one["benchmark"]], [*numbers, one["verdict"]]


def join_cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def shorten_list(lines: list[str], rest: str) -> list[str]:
    more = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], rest.format(more)] if more > 0 else lines


def shorten_body(body: str) -> str:
    """Cuts a long body at the end of a line."""
    if len(body) <= MAX_BODY_CHARACTERS:
        return body
    return body[:MAX_BODY_CHARACTERS].rpartition("\n")[0] + "\n\nThe rest is in the log.\n"


# HTTP


class Api:
    """A JSON API over HTTP with a token."""

    def __init__(self, address: str, headers: dict[str, str]):
        self.address, self.headers = address.rstrip("/"), headers

    def send(self, method: str, path: str, content: object = None, **query: object) -> Any:
        """Sends a request and returns the JSON of the answer."""
        address = f"{self.address}/{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(address, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read() or b"null")

    def pages(self, path: str, **query: object) -> Iterator[Any]:
        """Yields the items of all pages of a list."""
        page = 1
        while items := self.send("GET", path, **query, per_page=PAGE_SIZE, page=page):
            yield from items
            if len(items) < PAGE_SIZE:
                return
            page += 1


# GitHub


def post_to_github(options: argparse.Namespace) -> None:
    """Posts the check of a commit, and the comment on its pull request."""
    run = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())["workflow_run"]
    token = {"Authorization": f"Bearer {os.environ['GH_TOKEN']}"}
    accept = {"Accept": "application/vnd.github+json"}
    api = Api(os.environ.get("GITHUB_API_URL", "https://api.github.com"), {**token, **accept})
    repository = f"repos/{os.environ['GITHUB_REPOSITORY']}"
    verdicts, problems = read_verdicts(options.folder, options.expect)
    pull = find_pull_request(api, repository, run)
    names = changed_files(api, repository, pull) if pull else ()
    notes = [*describe_run(run), *guard_notes(names, options)]
    body = render_body(options.name, verdicts, problems, notes)
    word = join_verdicts(verdicts, problems)
    post_check(api, repository, run, options, word, body)
    if pull:
        renew_comment(api, repository, pull["number"], mark_of(options.name), body)


def find_pull_request(api: Api, repository: str, run: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the open pull request whose last commit is the workflow's.

    The event has no pull requests of forks, and the files could name another one.
    """
    source = run["head_repository"]
    if source is None:  # a fork that was deleted
        return None
    head = f"{source['owner']['login']}:{run['head_branch']}"
    for pull in api.pages(f"{repository}/pulls", state="open", head=head):
        own = (pull["head"]["repo"] or {}).get("full_name")
        if pull["head"]["sha"] == run["head_sha"] and own == source["full_name"]:
            return dict(pull)
    return None


def describe_run(run: dict[str, Any]) -> Iterator[str]:
    yield f"Commit {run['head_sha'][:10]}, [workflow run]({run['html_url']})"
    if run["conclusion"] != "success":
        yield f"The workflow ended with {code(run['conclusion'])}"


def changed_files(api: Api, repository: str, pull: dict[str, Any]) -> Iterator[str]:
    """Yields the files that a pull request changes, with their names before and after."""
    for file in api.pages(f"{repository}/pulls/{pull['number']}/files"):
        yield from dict.fromkeys(
            [file.get("previous_filename", file["filename"]), file["filename"]]
        )


def guard_notes(names: Iterable[str], options: argparse.Namespace) -> Iterator[str]:
    """Yields a warning if a change has files that decide its own gate."""
    patterns = [*GUARDED, *options.guard]
    changed = [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
    if changed:
        shown = ", ".join(map(code, changed[:MAX_FILES_SHOWN]))
        more = f" and {len(changed) - MAX_FILES_SHOWN} more" * (len(changed) > MAX_FILES_SHOWN)
        yield f"**This change decides its own gate**, so review these files: {shown}{more}"


def post_check(
    api: Api,
    repository: str,
    run: dict[str, Any],
    options: argparse.Namespace,
    word: str,
    body: str,
) -> None:
    """Creates the check; it succeeds only if the workflow also succeeded."""
    conclusion = "failure"
    if word == "cannot decide" and options.undecided == "pass":
        conclusion = "neutral"
    if word == "passed" and run["conclusion"] == "success":
        conclusion = "success"
    check = {"name": options.name, "head_sha": run["head_sha"], "details_url": run["html_url"]}
    output = {"title": word, "summary": body}
    content = {**check, "status": "completed", "conclusion": conclusion, "output": output}
    api.send("POST", f"{repository}/check-runs", content)


def renew_comment(api: Api, repository: str, pull: int, mark: str, body: str) -> None:
    """Changes the workflow's own comment, or writes the first one."""
    for comment in api.pages(f"{repository}/issues/{pull}/comments"):
        is_own = (comment["user"] or {}).get("login") == GITHUB_BOT
        if is_own and (comment["body"] or "").startswith(mark):
            api.send("PATCH", f"{repository}/issues/comments/{comment['id']}", {"body": body})
            return
    api.send("POST", f"{repository}/issues/{pull}/comments", {"body": body})


# GitLab


def post_to_gitlab(options: argparse.Namespace) -> None:
    """Changes the own note on the merge request, or writes the first one."""
    if "GITLAB_TOKEN" not in os.environ:
        print("no GITLAB_TOKEN, as in pipelines of forks: no note is posted", file=sys.stderr)
        return
    api = Api(os.environ["CI_API_V4_URL"], {"PRIVATE-TOKEN": os.environ["GITLAB_TOKEN"]})
    project = quote(os.environ["CI_PROJECT_ID"], safe="")
    request = f"projects/{project}/merge_requests/{int(os.environ['CI_MERGE_REQUEST_IID'])}"
    verdicts, problems = read_verdicts(options.folder, options.expect)
    commit = f"Commit {os.environ['CI_COMMIT_SHA'][:10]}, [job]({os.environ['CI_JOB_URL']})"
    diffs = api.pages(f"{request}/diffs")
    names = [name for diff in diffs for name in dict.fromkeys([diff["old_path"], diff["new_path"]])]
    body = render_body(options.name, verdicts, problems, [commit, *guard_notes(names, options)])
    own = api.send("GET", "user")["id"]
    for note in api.pages(f"{request}/notes"):
        if note["author"]["id"] == own and note["body"].startswith(mark_of(options.name)):
            api.send("PUT", f"{request}/notes/{note['id']}", {"body": body})
            return
    api.send("POST", f"{request}/notes", {"body": body})


# JUnit


def print_junit(options: argparse.Namespace) -> None:
    """Prints a JUnit report: a test case per test, benchmark and fault, and one per verdict."""
    verdicts, problems = read_verdicts(options.folder, options.expect)
    suites = ElementTree.Element("testsuites", name=options.name)
    for verdict in verdicts:
        suite = ElementTree.SubElement(suites, "testsuite", name=plain(verdict["title"]))
        add_case(suite, "verdict", verdict["verdict"], "\n".join(verdict["sentences"]))
        for place, name, word, text in case_facts(verdict):
            add_case(suite, name, word, text, classname=plain(place))
    if problems:
        suite = ElementTree.SubElement(suites, "testsuite", name="no verdict")
        add_case(suite, "verdict", "no verdict", "\n".join(problems))
    for suite in suites:
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    print(ElementTree.tostring(suites, "unicode"))


def case_facts(verdict: Verdict) -> Iterator[tuple[str, str, str, str]]:
    """Yields place, name, verdict and explanation of each part of a verdict."""
    for test in verdict.get("tests", ()):
        yield test["cell"] or "all cells", test["name"], test["verdict"], test["change"]
    for one in verdict.get("comparisons", ()):
        text = one["reason"] or f"head / base: {number(one['ratio'])}"
        yield "performance", one["benchmark"], one["verdict"], text
    for fault in (verdict.get("methods") or verdict).get("faults", ()):
        yield fault["cell"], fault["method"], "worse", fault["sentence"]


def add_case(
    suite: ElementTree.Element, name: str, word: str, text: str, classname: str = ""
) -> None:
    case = ElementTree.SubElement(suite, "testcase", name=plain(name), classname=classname)
    if word in ("worse", "regressed", "no verdict", "cannot decide"):
        ElementTree.SubElement(case, "failure", message=word).text = plain(text)
    elif word in ("undecided", "missing", "new"):
        ElementTree.SubElement(case, "skipped", message=f"{word}: {plain(text)}")


def plain(text: str) -> str:
    """Replaces the characters that XML cannot hold."""
    return "".join(c if is_harmless(c) or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


ACTIONS = {"github": post_to_github, "gitlab": post_to_gitlab, "junit": print_junit}


def main() -> None:
    parser = argparse.ArgumentParser(description="Posts verdicts of ganbench.")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="ganbench", help="name of the check and the comment")
    parser.add_argument("--expect", default="", help="verdicts that must exist: gate,perf")
    parser.add_argument("--undecided", choices=("fail", "pass"), default="fail")
    guard = "further files that decide the gate, such as --guard 'scripts/*'; may be repeated"
    parser.add_argument("--guard", action="append", default=[], metavar="PATTERN", help=guard)
    options = parser.parse_args()
    options.expect = [word for word in options.expect.split(",") if word]
    try:
        ACTIONS[options.action](options)
    except URLError as error:
        sys.exit(f"cannot post the verdict: {error}")


if __name__ == "__main__":
    main()
