"""What it scores: extractors, metrics and protocols, for trials and for images of any origin."""
