"""Write hpctrain/data/digits.npz from the copy of the UCI optical digits that scikit-learn carries.

    python scripts/make_digits.py [FILE]

The same bytes come out each time: NumPy gives the members of an archive a fixed date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

DEFAULT = Path(__file__).parents[1] / "hpctrain" / "data" / "digits.npz"


def main() -> None:
    """Write the archive: images (1797, 8, 8) uint8 of 0 to 16, labels (1797,) uint8 of 0 to 9."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    digits = load_digits()
    np.savez_compressed(file, images=digits.images.astype(np.uint8), labels=digits.target.astype(np.uint8))
    print(f"{file}: {len(digits.target):,} images, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
