"""Metrics by their names in a spec. A new metric is a new file and a line here."""

from ..spec import Index

METRICS = Index(
    "metric",
    "ganbench.metrics",
    {
        "authenticity": "authenticity:Authenticity",
        "backward": "backward:Backward",
        "class_accuracy": "class_accuracy:ClassAccuracy",
        "class_fid": "class_fid:ClassFid",
        "copying": "copying:Copying",
        "coverage": "coverage:Coverage",
        "cycle_error": "cycle_error:CycleError",
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
        "psnr": "psnr:Psnr",
        "recall": "recall:Recall",
        "reverse_kl": "reverse_kl:ReverseKl",
        "rke": "rke:Rke",
        "ssim": "ssim:Ssim",
        "support": "support:Support",
        "translation_error": "translation_error:TranslationError",
        "vendi": "vendi:Vendi",
    },
)
