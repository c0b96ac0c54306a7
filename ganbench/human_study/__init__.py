"""Human studies of real and fake pictures, modelled on HYPE (Zhou et al., 2019)."""
