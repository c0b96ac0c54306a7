"""Learning curves have the names and floors of their own protocol, not of later measurements."""

import pytest
from synthetic_rows import arms, frame, row

from ganbench.experiments.plan_names import protocols_of_run
from ganbench.report.curves import learning_curves_of
from ganbench.report.page.panels import floors_by_data

CLASSIFIER, INCEPTION = "classifier(of='digits')", "inception"
UNKNOWN_RUN = {"measured": {"suite": "s", "metrics": [], "protocol": "torch_fidelity"}}


def protocols(extractor):
    return {extractor: {"data": "digits", "extractor": extractor}}


@pytest.mark.parametrize(
    ("protocol", "measured_by", "own", "label", "has_floor"),
    [
        ("ganbench", CLASSIFIER, {}, "FID (digits' classifier)", True),
        ("ganbench(extractor='inception')", INCEPTION, {}, "FID", True),
        ("ganbench(fakes=50000)", CLASSIFIER, {}, "FID (digits' classifier)", False),
        ("torch_fidelity(fakes=50000)", INCEPTION, {}, "FID", False),
        (
            "torch_fidelity",
            INCEPTION,
            {"run_protocols": protocols(CLASSIFIER)},
            "FID (digits' classifier)",
            False,
        ),
        (
            "ganbench(extractor='inception')",
            INCEPTION,
            {"run_protocols": protocols(CLASSIFIER)},
            "FID (digits' classifier)",
            False,
        ),
        ("ganbench", CLASSIFIER, {"run_protocols": protocols(CLASSIFIER), **UNKNOWN_RUN},
         "FID (digits' classifier)", True),
        ("torch_fidelity", INCEPTION, UNKNOWN_RUN, "FID (features of the run)", False),
    ],
)  # fmt: skip
def test_curves_have_their_own_features_and_floor(protocol, measured_by, own, label, has_floor):
    points = [each | {"kind": "curve", "checkpoint": None} for each in arms({"r1": 0.5})]
    plan = {"protocol": protocol, "protocols": protocols(measured_by), **own}
    board = frame(row(value=0.2, role="floor"), **plan).rename(columns={"value": "fid"})
    curves = learning_curves_of(frame(*points, **plan))
    assert curves.label == label
    assert floors_by_data(board, curves) == ({"digits": 0.2} if has_floor else {})


def test_plan_that_is_measured_again_keeps_the_protocols_of_its_run():
    run = {"protocols": protocols(CLASSIFIER)}
    once = {"protocols": protocols(INCEPTION), "run_protocols": protocols_of_run(run)}
    assert protocols_of_run(once | UNKNOWN_RUN) == protocols(CLASSIFIER)
    assert protocols_of_run(UNKNOWN_RUN | {"protocols": protocols(INCEPTION)}) == {}
