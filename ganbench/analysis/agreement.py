"""Agreement between raters: Krippendorff's alpha for unordered values (Krippendorff, 2011).

1 is perfect agreement, 0 what chance gives, below 0 is systematic disagreement. Fleiss' kappa is the same
but for a correction for few judgements: 1 - alpha = (1 - kappa)(n - 1) / n of n judgements.
"""

import math

import numpy as np
from numpy.typing import NDArray


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Of how many raters gave each value to each item [items, values]; raters may have missed some.

    alpha = 1 - (n - 1) · Σ_u Σ_{c≠k} n_uc n_uk / (m_u - 1) / Σ_{c≠k} n_c n_k, over items u that m_u ≥ 2
    raters judged. NaN where there are none, or where all judgements are alike.
    """
    judged = counts[counts.sum(axis=1) >= 2].astype(float)
    of_items, of_values = judged.sum(axis=1), judged.sum(axis=0)
    total = of_values.sum()
    expected = total**2 - (of_values**2).sum()
    if not expected:
        return math.nan
    observed = ((of_items**2 - (judged**2).sum(axis=1)) / (of_items - 1)).sum()
    return float(1 - (total - 1) * observed / expected)
