"""Checks of the settings that data sets of a user's images have in common."""


def check_channels(channels: int) -> None:
    """Raises ValueError for other numbers of channels than 1 and 3."""
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {channels}")


def check_held_out(share: float) -> None:
    """Raises ValueError if the share of held-out examples is not in (0, 1)."""
    if not 0 < share < 1:
        raise ValueError(f"held_out must lie between 0 and 1, not {share}")
