"""The registry of protocols: names in specs and the classes that implement them.

To add a protocol, add a file to this package and an entry to this registry.
"""

from ganbench.registry import Registry

PROTOCOLS = Registry(
    "protocol",
    "ganbench.evaluation.protocols",
    "ganbench.protocols",
    {
        "ganbench": "base:MeasurementRules",
        "torch_fidelity": "torch_fidelity:TorchFidelity",
    },
)


def protocol_label(text: str) -> str:
    """Returns the canonical spelling of a protocol's spec.

    Accepts the hyphen of "torch-fidelity". Raises SpecError for an unknown protocol.
    """
    label = PROTOCOLS.label(text.replace("torch-fidelity", "torch_fidelity", 1))
    PROTOCOLS.make(label)
    return label
