"""Linear recurrences of first order over whole columns, strictly in order."""

import numpy as np
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.units import Floats


def linear_recurrence(factor: Floats, values: Floats) -> Floats:
    """y[j] = factor[j] · y[j-1] + values[j] down each column: forward substitution in a bidiagonal system.

    `factor` (N,), finite; `values` (N, C), finite. A factor of 0 begins a new series, whatever came before.

    >>> linear_recurrence(np.array([0.0, 0.5, 0.0, 2.0]), np.array([[8.0], [1.0], [3.0], [1.0]])).ravel()
    array([8., 5., 3., 7.])
    """
    if not values.size:
        return values
    bands = np.zeros((2, len(factor)), order="F")
    bands[1, :-1] = -factor[1:]
    sums: Floats = scipy.linalg.lapack.dtbtrs(bands, np.asfortranarray(values), uplo="L", diag="U")[0]
    return sums
