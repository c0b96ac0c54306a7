"""Tasks by their names in a spec. A new task is a new file and a line here."""

from ganbench.registry import Registry

TASKS = Registry(
    "task",
    "ganbench.gan.tasks",
    "ganbench.tasks",
    {
        "auxiliary": "acgan:Auxiliary",
        "conditional": "conditional:Conditional",
        "conditional_video": "conditional_video:ConditionalVideo",
        "contrastive": "cut:Contrastive",
        "cycle": "cyclegan:Cycle",
        "information": "infogan:Information",
        "inpainting": "inpainting:Inpainting",
        "layered": "layered:Layered",
        "motion_transfer": "motion_transfer:MotionTransfer",
        "paired_translation": "paired_translation:PairedTranslation",
        "prediction": "prediction:Prediction",
        "super_resolution": "super_resolution:SuperResolution",
        "unconditional": "unconditional:Unconditional",
        "video": "video:Video",
    },
    former_group="ganbench.games",
)
