"""The types of columns: one number a row, as the tables of the audit hold them."""

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]  # or Python's own integers where 63 bits are not enough (grouped.exact)
Words = NDArray[np.uint64]  # ids of 64 bits
Mask = NDArray[np.bool_]
