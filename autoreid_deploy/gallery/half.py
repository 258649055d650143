"""Rows of 16-bit floats, as they are stored."""

import numpy as np
from numpy.typing import NDArray

Rows16 = NDArray[np.float16]


def widen(rows: Rows16) -> NDArray[np.float32]:
    """Finite 16-bit floats as the same 32-bit ones; NumPy's own way takes several times as long.

    The bits of sign, exponent and fraction are put where they belong; then the exponent counts from another zero.
    """
    bits = rows.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~0x7000_0000  # what the sign left on its way
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide
