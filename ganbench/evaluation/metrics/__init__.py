"""The registry of metrics: names in specs and the classes that implement them.

To add a metric, add a file to this package and an entry to this registry.
"""

from ganbench.registry import Registry

METRICS = Registry(
    "metric",
    "ganbench.evaluation.metrics",
    "ganbench.metrics",
    {
        "acd": "acd:ACD",
        "augmentation": "augmentation:Augmentation",
        "authenticity": "authenticity:Authenticity",
        "backward": "backward:Backward",
        "cas": "cas:CAS",
        "class_accuracy": "class_accuracy:ClassAccuracy",
        "class_fid": "class_fid:ClassFID",
        "copying": "copying:Copying",
        "coverage": "coverage:Coverage",
        "cycle_error": "cycle_error:CycleError",
        "density": "density:Density",
        "direction_accuracy": "direction_accuracy:DirectionAccuracy",
        "fid": "fid:FID",
        "fid_infinity": "fid_infinity:FIDInfinity",
        "fid_unbiased": "fid_unbiased:FIDUnbiased",
        "fvd": "fvd:FVD",
        "gan_test": "gan_test_accuracy:GANTest",
        "high_quality": "high_quality:HighQuality",
        "identity_constancy": "identity_constancy:IdentityConstancy",
        "is": "inception_score:InceptionScore",
        "js": "js:JS",
        "kid": "kid:KID",
        "kid_subsets": "kid_subsets:KIDSubsets",
        "law_error": "law_error:LawError",
        "mind": "mind:MIND",
        "modes": "modes:Modes",
        "ms_ssim": "ms_ssim:MSSSIM",
        "ndb": "ndb:NDB",
        "ppl": "ppl:PPL",
        "precision": "precision:Precision",
        "psnr": "psnr:PSNR",
        "recall": "recall:Recall",
        "reverse_kl": "reverse_kl:ReverseKL",
        "rke": "rke:RKE",
        "smoothness": "smoothness:Smoothness",
        "speed_error": "speed_error:SpeedError",
        "ssim": "ssim:SSIM",
        "support": "support:Support",
        "translation_error": "translation_error:TranslationError",
        "vendi": "vendi:Vendi",
    },
)
