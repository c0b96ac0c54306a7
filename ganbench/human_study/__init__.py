"""Studies: people are asked which pictures are real, in the manner of HYPE (Zhou et al., 2019)."""
