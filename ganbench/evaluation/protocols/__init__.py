"""Protocols by their names in a spec. A new protocol is a new file and a line here."""

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
    """The one spelling of a protocol's spec; the library itself writes its name with a hyphen."""
    label = PROTOCOLS.label(text.replace("torch-fidelity", "torch_fidelity", 1))
    PROTOCOLS.make(label)
    return label
