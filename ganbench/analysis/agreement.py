"""Krippendorff's alpha: agreement between raters on unordered values (Krippendorff, 2011).

Alpha is 1 for perfect agreement, 0 for chance agreement, and negative for systematic disagreement.
For n judgements, alpha follows from Fleiss' kappa: 1 - alpha = (1 - kappa)(n - 1) / n. The factor
corrects for few judgements.
"""

import math

import numpy as np
from numpy.typing import NDArray


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Computes Krippendorff's alpha from counts [items, values].

    An entry of `counts` is the number of raters that gave a value to an item. Raters may have skipped
    items. alpha = 1 - (n - 1) · Σ_u Σ_{c≠k} n_uc n_uk / (m_u - 1) / Σ_{c≠k} n_c n_k, where u runs over
    the items that m_u ≥ 2 raters judged. Returns NaN without such items, or if all judgements are equal.
    """
    judged = counts[counts.sum(axis=1) >= 2].astype(float)
    of_items, of_values = judged.sum(axis=1), judged.sum(axis=0)
    total = of_values.sum()
    expected = total**2 - (of_values**2).sum()
    if not expected:
        return math.nan
    observed = ((of_items**2 - (judged**2).sum(axis=1)) / (of_items - 1)).sum()
    return float(1 - (total - 1) * observed / expected)
