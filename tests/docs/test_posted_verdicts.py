"""Posting of verdicts: the script runs against servers that play GitHub's and GitLab's API."""

import json
import os
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from verdict_schema import schema_errors

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.methods.base import CheckedMethod, MethodFault, MethodReport
from ganbench.ci.performance.comparisons import BenchmarkComparison
from ganbench.ci.performance.gate import PerfReport
from ganbench.ci.performance.summary import perf_record
from ganbench.ci.quality.baseline import read_baseline_file
from ganbench.ci.quality.summary import gate_record
from ganbench.ci.quality.verdict import MeasuredSide, decide_gate_verdict

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "ci"
SHA = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"
HOSTILE = (
    "`@everyone` | </code><script>alert(1)</script><img src=x onerror=y> ![p](http://evil.example/p.png)"
    " [passed](javascript:x) -->\n\n## ganbench: passed\n/merge \u202e #1 http://evil.example \\"
)


class ApiServer(ThreadingHTTPServer):
    """An API whose lists are kept in memory, with pages as the real ones have."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ApiHandler)
        self.lists, self.sent, self.tokens = {}, [], set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def contents(self, method):
        return [content for way, _, content in self.sent if way == method]


class ApiHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        found = self.server.lists.get(parts.path)
        if found is None:
            return self.send_error(404)
        if isinstance(found, list):
            found = [
                item for item in found if item.get("_head", query.get("head")) == query.get("head")
            ]
            size = int(query["per_page"])
            start = size * (int(query["page"]) - 1)
            found = found[start : start + size]
        return self.answer(200, found)

    def do_POST(self):
        self.keep(201)

    def do_PATCH(self):
        self.keep(200)

    def do_PUT(self):
        self.keep(200)

    def keep(self, status):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent.append((self.command, self.path, content))
        self.answer(status, {"id": 1})

    def answer(self, status, content):
        self.server.tokens.add(self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    server = ApiServer()
    yield server
    server.shutdown()
    server.server_close()


def pull_request(number=7, sha=SHA, repository="ann/fork", head="ann:topic"):
    return {
        "number": number,
        "_head": head,
        "head": {"sha": sha, "repo": {"full_name": repository}},
    }


@pytest.fixture
def github(api, tmp_path):
    """Runs the script as the workflow does; returns the check and the ended process."""
    api.lists |= {
        "/repos/me/mine/pulls": [pull_request()],
        "/repos/me/mine/pulls/7/files": [{"filename": "mine.py"}],
        "/repos/me/mine/issues/7/comments": [],
    }
    (tmp_path / "verdicts").mkdir()

    def run(*options, conclusion="success"):
        event = {
            "head_sha": SHA,
            "head_branch": "topic",
            "head_repository": {"full_name": "ann/fork", "owner": {"login": "ann"}},
            "html_url": "https://github.example/runs/1",
            "conclusion": conclusion,
        }
        (tmp_path / "event.json").write_text(json.dumps({"workflow_run": event}))
        variables = {
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_API_URL": api.address,
            "GITHUB_REPOSITORY": "me/mine",
            "GH_TOKEN": "secret",
        }
        ended = run_script("github", tmp_path / "verdicts", *options, **variables)
        assert ended.returncode == 0, ended.stderr
        return api.contents("POST")[0]

    return run


def run_script(*words, **variables):
    command = [sys.executable, RECIPES / "verdicts.py", *map(str, words)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def gate_verdict():
    """The verdict of trainings that equal those of the committed baseline."""
    baseline = read_baseline_file(ROOT / "suites" / "gate.baseline.json")
    side = MeasuredSide(baseline.trainings_by_cell(), baseline.floors)
    decided = decide_gate_verdict(baseline, side, baseline.margins, 0.01, baseline.gate)
    return gate_record(decided, baseline, 1.0).to_json()


def perf_verdict(verdict=CommandVerdict.PASSED, name="step[gan]", word="worse", reason=""):
    comparison = BenchmarkComparison(
        name, ComparisonVerdict(word), 1.0, 1.5, "s", False, 1.5, 1.4, 1.6, 10, reason
    )
    facts = {"title": "Performance", "margin": 0.1, "base": "a", "head": "b"}
    report = PerfReport([comparison], device="cpu", pairs=6)
    return perf_record(report, verdict, ["A sentence."], {0.1: 0.9}, facts).to_json()


def check_verdict(sentence):
    fault = MethodFault("cell", "trick ema", sentence)
    report = MethodReport([CheckedMethod("cell", "trick ema", (fault,))], [])
    return report.verdict_record("mine").to_json()


def save(tmp_path, *verdicts):
    for verdict in verdicts:
        assert schema_errors(verdict) == []
        (tmp_path / "verdicts" / f"{verdict['command']}.json").write_text(json.dumps(verdict))


# GitHub


def test_comment_and_check_have_the_verdict(github, api, tmp_path, gate_verdict):
    save(tmp_path, gate_verdict, perf_verdict())
    check = github("--expect", "gate,perf")
    assert (check["name"], check["head_sha"], check["conclusion"]) == ("ganbench", SHA, "success")
    (path,) = [path for way, path, _ in api.sent if path.endswith("comments")]
    assert path == "/repos/me/mine/issues/7/comments"
    body = api.contents("POST")[1]["body"]
    assert body.splitlines()[1] == "## ganbench: passed"
    assert "### `Quality gate of gate`: passed" in body
    assert "| `step[gan]` | 1 | 1.5 | 1.5 | worse |" in body
    assert api.tokens == {"Bearer secret"}


def test_own_comment_is_renewed_and_no_one_elses(github, api, tmp_path, gate_verdict):
    save(tmp_path, gate_verdict)
    mark = "<!-- verdicts of ganbench -->"
    others = [{"id": 1, "body": f"{mark}\nmine", "user": {"login": "mallory"}}] * 120
    own = {"id": 42, "body": f"{mark}\n## old", "user": {"login": "github-actions[bot]"}}
    api.lists["/repos/me/mine/issues/7/comments"] = [*others, own]
    github()
    changed = [path for way, path, _ in api.sent if way == "PATCH"]
    assert changed == ["/repos/me/mine/issues/comments/42"]
    assert len(api.contents("POST")) == 1  # the check


@pytest.mark.parametrize(
    "pulls",
    [
        [],
        [pull_request(sha="f" * 40)],
        [pull_request(repository="mallory/fork")],
        [pull_request(head="mallory:topic")],
    ],
)
def test_other_pull_requests_get_no_comment(github, api, tmp_path, gate_verdict, pulls):
    save(tmp_path, gate_verdict)
    api.lists["/repos/me/mine/pulls"] = pulls
    assert github()["conclusion"] == "success"
    assert [path for _, path, _ in api.sent] == ["/repos/me/mine/check-runs"]


@pytest.mark.parametrize(
    ("verdict", "conclusion", "undecided", "expected"),
    [
        (CommandVerdict.PASSED, "success", "fail", "success"),
        (CommandVerdict.PASSED, "failure", "pass", "failure"),
        (CommandVerdict.PASSED, "cancelled", "fail", "failure"),
        (CommandVerdict.REGRESSED, "success", "pass", "failure"),
        (CommandVerdict.CANNOT_DECIDE, "failure", "fail", "failure"),
        (CommandVerdict.CANNOT_DECIDE, "failure", "pass", "neutral"),
    ],
)
def test_check_needs_a_pass_and_a_workflow_that_succeeded(
    github, tmp_path, verdict, conclusion, undecided, expected
):
    save(tmp_path, perf_verdict(verdict))
    assert github("--undecided", undecided, conclusion=conclusion)["conclusion"] == expected


def write_symlink(path):
    path.symlink_to("/etc/passwd")


BAD_FILES = {
    "missing": lambda path: None,
    "no JSON": lambda path: path.write_text("{"),
    "deep JSON": lambda path: path.write_text("[" * 100_000),
    "NaN": lambda path: path.write_text(json.dumps(perf_verdict() | {"margin": float("nan")})),
    "another command": lambda path: path.write_text(json.dumps(check_verdict("x"))),
    "another code": lambda path: path.write_text(json.dumps(perf_verdict() | {"code": 1})),
    "another key": lambda path: path.write_text(json.dumps(perf_verdict() | {"html": "<b>"})),
    "too long": lambda path: path.write_text(" " * 5_000_000),
    "link": write_symlink,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_no_verdict(github, api, tmp_path, gate_verdict, case):
    save(tmp_path, gate_verdict)
    BAD_FILES[case](tmp_path / "verdicts" / "perf.json")
    check = github("--expect", "gate,perf", "--undecided", "pass")
    assert (check["conclusion"], check["output"]["title"]) == ("failure", "no verdict")
    assert "- `perf.json is " in api.contents("POST")[1]["body"]


def test_change_of_the_gate_is_named(github, api, tmp_path, gate_verdict):
    save(tmp_path, gate_verdict)
    names = [*(f"data/{n}.txt" for n in range(100)), "ci/gates.sh", "suites/mine.baseline.json"]
    files = [{"filename": name} for name in [*names, "Makefile", "tools/draw.py"]]
    moved = {"filename": "new.json", "previous_filename": "quality.baseline.json"}
    api.lists["/repos/me/mine/pulls/7/files"] = [*files, moved]
    body = github("--guard", "tools/*")["output"]["summary"]
    named = ["ci/gates.sh", "suites/mine.baseline.json", "Makefile", "tools/draw.py"]
    listed = ", ".join(f"`{name}`" for name in [*named, "quality.baseline.json"])
    assert f"**This change decides its own gate**, so review these files: {listed}\n" in body


# Hostile content


class PageParts(HTMLParser):
    """The tags, the addresses, and the text outside of code."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.text, self.in_code = set(), set(), "", 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.in_code += tag == "code"
        self.addresses |= {value for name, value in attrs if name in ("href", "src")}

    def handle_endtag(self, tag):
        self.in_code -= tag == "code"

    def handle_data(self, data):
        self.text += "" if self.in_code else data


def test_hostile_content_is_shown_as_code(github, api, tmp_path, gate_verdict):
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    questions = [q | {"cell": HOSTILE, "name": HOSTILE} for q in gate_verdict["tests"]]
    hostile = gate_verdict | {"title": HOSTILE, "sentences": [HOSTILE], "tests": questions}
    save(tmp_path, hostile, perf_verdict(name=HOSTILE), check_verdict(HOSTILE))
    api.lists["/repos/me/mine/pulls/7/files"] = [{"filename": f"ci/{HOSTILE}"}]
    body = github()["output"]["summary"]
    page = PageParts(markdown.render(body))
    assert page.tags == {
        *("h2", "h3", "ul", "li", "a", "code", "strong"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert page.addresses == {"https://github.example/runs/1"}
    for word in ("@", "evil", "script", "javascript", "/merge", "#1", "\u202e"):
        assert word not in page.text
    assert "\u202e" not in body
    assert "<!--" not in body[10:]


def test_long_verdict_is_cut(github, tmp_path, gate_verdict):
    long = gate_verdict | {"sentences": [f"{n}: {'word ' * 200}" for n in range(500)]}
    save(tmp_path, long)
    body = github()["output"]["summary"]
    assert len(body) < 65_536  # GitHub's limit
    assert "- … 460 more" in body


# GitLab


@pytest.fixture
def gitlab(api, tmp_path):
    request = "/projects/9/merge_requests/3"
    api.lists |= {"/user": {"id": 5}, f"{request}/notes": [], f"{request}/diffs": []}
    (tmp_path / "verdicts").mkdir()
    variables = {
        "CI_API_V4_URL": api.address,
        "CI_PROJECT_ID": "9",
        "CI_MERGE_REQUEST_IID": "3",
        "CI_COMMIT_SHA": SHA,
        "CI_JOB_URL": "https://gitlab.example/jobs/1",
    }
    return lambda **more: run_script("gitlab", tmp_path / "verdicts", **variables, **more)


def test_note_is_written_and_renewed(gitlab, api, tmp_path, gate_verdict):
    save(tmp_path, gate_verdict)
    assert gitlab(GITLAB_TOKEN="secret").returncode == 0
    (note,) = api.contents("POST")
    assert "### `Quality gate of gate`: passed" in note["body"]
    other = {"id": 1, "author": {"id": 6}, "body": note["body"]}
    own = {"id": 2, "author": {"id": 5}, "body": note["body"]}
    api.lists["/projects/9/merge_requests/3/notes"] = [other, own]
    assert gitlab(GITLAB_TOKEN="secret").returncode == 0
    assert [path for way, path, _ in api.sent if way == "PUT"] == [
        "/projects/9/merge_requests/3/notes/2"
    ]
    assert api.tokens == {"secret"}


def test_change_of_the_gate_is_named_in_the_note(gitlab, api, tmp_path, gate_verdict):
    save(tmp_path, gate_verdict)
    names = ("mine.py", "ci/gates.sh")
    diffs = [{"old_path": name, "new_path": name} for name in names]
    api.lists["/projects/9/merge_requests/3/diffs"] = diffs
    assert gitlab(GITLAB_TOKEN="secret").returncode == 0
    assert "so review these files: `ci/gates.sh`\n" in api.contents("POST")[0]["body"]


def test_without_a_token_no_note_is_written(gitlab, api):
    ended = gitlab()
    assert (ended.returncode, api.sent) == (0, [])
    assert "no note is posted" in ended.stderr


def test_error_of_the_server_is_a_sentence(gitlab, api):
    del api.lists["/user"]
    ended = gitlab(GITLAB_TOKEN="secret")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "cannot post the verdict: HTTP Error 404" in ended.stderr


def test_junit_report_has_each_test(tmp_path, gate_verdict):
    (tmp_path / "verdicts").mkdir()
    worse = [q | {"verdict": "worse"} for q in gate_verdict["tests"][:1]]
    others = [q | {"verdict": "not worse"} for q in gate_verdict["tests"][1:]]
    regressed = {"verdict": "regressed", "code": 1, "tests": [*worse, *others]}
    faulty = check_verdict("decay is 0.9 \x00 & by definition 0.5 <")
    save(tmp_path, gate_verdict | regressed, perf_verdict(word="undecided"), faulty)
    ended = run_script("junit", tmp_path / "verdicts")
    suites = {suite.get("name"): suite for suite in ElementTree.fromstring(ended.stdout)}
    counts = {name: (s.get("failures"), s.get("skipped")) for name, s in suites.items()}
    assert counts == {
        "Quality gate of gate": ("2", "0"),
        "Performance": ("0", "1"),
        "Methods of mine": ("2", "0"),
    }
    assert len(suites["Quality gate of gate"]) == len(gate_verdict["tests"]) + 1
    assert "by definition 0.5 <" in suites["Methods of mine"].findtext("testcase/failure")


# The workflows


def read_recipe(name):
    content = yaml.safe_load((RECIPES / name).read_text())
    return {("on" if key is True else key): part for key, part in content.items()}


@pytest.mark.parametrize("name", ["gates.yml", "images.yml"])
def test_workflows_that_run_the_change_may_only_read(name):
    workflow = read_recipe(name)
    assert workflow["on"] == "pull_request"
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["steps"][0]["with"]["persist-credentials"] is False
    assert "secrets" not in (RECIPES / name).read_text()


def test_workflow_that_writes_runs_no_code_of_the_change():
    workflow = read_recipe("post.yml")
    assert set(workflow["on"]) == {"workflow_run"}
    assert workflow["on"]["workflow_run"]["workflows"] == [read_recipe("gates.yml")["name"]]
    rights = {"actions": "read", "checks": "write", "contents": "read", "pull-requests": "write"}
    assert workflow["permissions"] == rights
    steps = workflow["jobs"]["post"]["steps"]
    checkout, download = steps[:2]
    assert set(checkout["with"]) == {"persist-credentials"}  # no ref: the default branch
    assert download["with"]["path"].startswith("${{ runner.temp }}/")  # overwrites no script
    assert not any("${{" in step.get("run", "") for step in steps)


def test_posting_workflow_reads_the_artifact_that_gates_upload():
    upload = read_recipe("gates.yml")["jobs"]["gates"]["steps"][-1]
    action_upload = read_recipe("action.yml")["runs"]["steps"][-1]
    download = read_recipe("post.yml")["jobs"]["post"]["steps"][1]
    names = {step["with"]["name"] for step in (upload, action_upload, download)}
    assert names == {"verdicts"}


def test_gitlab_recipe_runs_both_gates_and_posts():
    jobs = read_recipe("gates.gitlab-ci.yml")
    assert jobs["gates"]["script"][-1].startswith(
        'sh ci/gates.sh "$CI_MERGE_REQUEST_DIFF_BASE_SHA"'
    )
    assert jobs["gates"]["variables"]["VERDICTS"] in jobs["gates"]["artifacts"]["paths"]
    assert jobs["verdict"]["artifacts"]["reports"]["junit"] == "report.xml"
    assert {job["rules"][0]["if"] for job in jobs.values()} == {
        '$CI_PIPELINE_SOURCE == "merge_request_event"'
    }
