"""Closed forms of all tricks, on hand-made batches and on the networks of a cell."""

from ..base import CheckTrick
from .augmentation import (
    check_ada,
    check_diffaugment,
    check_frequency_separation,
    check_horizontal_flipping,
    check_instance_noise,
    check_pacgan,
)
from .batches import check_minibatch_discrimination, check_minibatch_std
from .growth import check_progressive_growing
from .labels import check_label_interpolation, check_matching_penalty, check_mismatch
from .memory import (
    check_ema,
    check_image_pool,
    check_past_discriminators,
    check_post_hoc_ema,
)
from .normalizations import (
    check_adversarial_gradient_normalization,
    check_gradient_clipping,
    check_singular_value_clipping,
    check_spectral_norm,
    check_weight_clipping,
)
from .optimization import check_ttur, check_unrolled, check_width_scaled_rates
from .penalties import (
    check_dragan,
    check_drift,
    check_gradient_penalty,
    check_lecam,
    check_logit_centering,
    check_path_length,
    check_r1,
    check_r2,
)
from .regularizers import (
    check_consistency,
    check_historical_averaging,
    check_orthogonal_regularization,
    check_representation_alignment,
    check_transport_pull,
)
from .targets import (
    check_equilibrium,
    check_fd_loss,
    check_feature_matching,
    check_label_flipping,
    check_label_smoothing,
    check_top_k,
)

TRICK_CHECKS: dict[str, CheckTrick] = {
    "ada": check_ada,
    "adversarial_gradient_normalization": check_adversarial_gradient_normalization,
    "consistency": check_consistency,
    "diffaugment": check_diffaugment,
    "dragan": check_dragan,
    "drift": check_drift,
    "ema": check_ema,
    "equilibrium": check_equilibrium,
    "fd_loss": check_fd_loss,
    "feature_matching": check_feature_matching,
    "frequency_separation": check_frequency_separation,
    "gradient_clipping": check_gradient_clipping,
    "gradient_penalty": check_gradient_penalty,
    "historical_averaging": check_historical_averaging,
    "horizontal_flipping": check_horizontal_flipping,
    "image_pool": check_image_pool,
    "instance_noise": check_instance_noise,
    "label_flipping": check_label_flipping,
    "label_interpolation": check_label_interpolation,
    "label_smoothing": check_label_smoothing,
    "lecam": check_lecam,
    "logit_centering": check_logit_centering,
    "matching_penalty": check_matching_penalty,
    "minibatch_discrimination": check_minibatch_discrimination,
    "minibatch_std": check_minibatch_std,
    "mismatch": check_mismatch,
    "orthogonal_regularization": check_orthogonal_regularization,
    "pacgan": check_pacgan,
    "past_discriminators": check_past_discriminators,
    "path_length": check_path_length,
    "post_hoc_ema": check_post_hoc_ema,
    "progressive_growing": check_progressive_growing,
    "r1": check_r1,
    "r2": check_r2,
    "representation_alignment": check_representation_alignment,
    "singular_value_clipping": check_singular_value_clipping,
    "spectral_norm": check_spectral_norm,
    "top_k": check_top_k,
    "transport_pull": check_transport_pull,
    "ttur": check_ttur,
    "unrolled": check_unrolled,
    "weight_clipping": check_weight_clipping,
    "width_scaled_rates": check_width_scaled_rates,
}
