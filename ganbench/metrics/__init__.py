"""Metrics by their names in a spec. A new metric is a new file and a line here."""

from ..spec import Index

METRICS = Index(
    "metric",
    "ganbench.metrics",
    {
        "authenticity": "authenticity:Authenticity",
        "class_fid": "class_fid:ClassFid",
        "copying": "copying:Copying",
        "coverage": "coverage:Coverage",
        "density": "density:Density",
        "fid": "fid:Fid",
        "fid_infinity": "fid_infinity:FidInfinity",
        "fid_unbiased": "fid_unbiased:FidUnbiased",
        "high_quality": "high_quality:HighQuality",
        "is": "inception_score:InceptionScore",
        "js": "js:Js",
        "kid": "kid:Kid",
        "kid_subsets": "kid_subsets:KidSubsets",
        "modes": "modes:Modes",
        "ms_ssim": "ms_ssim:MsSsim",
        "ndb": "ndb:Ndb",
        "precision": "precision:Precision",
        "recall": "recall:Recall",
        "reverse_kl": "reverse_kl:ReverseKl",
        "rke": "rke:Rke",
        "support": "support:Support",
        "vendi": "vendi:Vendi",
    },
)
