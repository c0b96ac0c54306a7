"""The registries of feature extractors and of image distances.

A new extractor is a new file here plus one line in the registry.
"""

from ganbench.registry import Registry

EXTRACTORS = Registry(
    "extractor",
    "ganbench.evaluation.extractors",
    "ganbench.extractors",
    {
        "attribute_classifier": "attribute_classifier:AttributeClassifier",
        "classifier": "classifier:Classifier",
        "clip": "clip:CLIP",
        "clip_classifier": "clip_classifier:ClipClassifier",
        "dinov2": "dinov2:DINOv2",
        "efficientnet_lite0": "efficientnet_lite0:EfficientNetLite0",
        "frame_features": "frame_features:FrameFeatures",
        "identity": "identity:Identity",
        "inception": "inception:Inception",
        "motion_classifier": "motion_classifier:MotionClassifier",
        "stacked": "stacked:Stacked",
        "vgg16": "vgg16:VGG16",
    },
)

DISTANCES = Registry(
    "distance", "ganbench.evaluation.extractors", "ganbench.distances", {"lpips": "lpips:LPIPS"}
)
