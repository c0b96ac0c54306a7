"""Pictures of a trained generator: samples, interpolations, neighbours, style mixing."""
