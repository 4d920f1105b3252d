"""What the figures of a pool's report mean where they are no numbers."""
# SPDX-License-Identifier: Apache-2.0

INFINITE = 'infinite'
"""The backend has no limit that it knows of."""
UNKNOWN = 'unknown'
"""The backend cannot tell."""
WORDS = (INFINITE, UNKNOWN)

AUTO = 'auto'
"""``max_over_subscription_ratio``: as thinly as the pool's volumes turn out to be filled."""

FIRST_RATIO = 20.0
"""With AUTO, of a pool without volumes."""

_GIB = 1024 ** 3


def is_known(*figures):
    """Whether all figures are numbers."""
    return not any(figure in WORDS for figure in figures)


def over_subscription(ratio, total_bytes, free_bytes, provisioned_bytes):
    """How many times a pool's capacity may be promised.

    :param ratio: a number, or AUTO: 1 + provisioned / (used + 1), in GiB
    :returns: a float
    """
    if ratio != AUTO:
        return float(ratio)
    if not provisioned_bytes or not is_known(total_bytes, free_bytes):
        return FIRST_RATIO
    used_bytes = max(0, total_bytes - free_bytes)
    return 1 + provisioned_bytes / (used_bytes + _GIB)
