"""From the targets of a file to class numbers or real numbers: decided once, by all ranks together.

Whole numbers and words are the labels of classes; real numbers are the values of a regression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from hpctrain.errors import DataError

_WHOLE_NUMBER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class TargetSurvey:
    """What occurs among some targets. Surveys merge; the survey of no targets is the neutral element.

    Attributes:
        has_reals: there are real numbers.
        labels: the other targets, sorted and distinct: int64, or words (whole numbers too where a file has only text).
            Beside real numbers, words that are no numbers, and nothing else.
    """

    has_reals: bool = False
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of(cls, targets: np.ndarray) -> TargetSurvey:
        """Survey (n,) whole numbers or words, or (n,) or (n, outputs) real numbers; empty words are passed over."""
        if targets.dtype.kind == "f":
            return cls(has_reals=True)
        distinct = np.unique(targets)
        if targets.dtype.kind != "U":
            return cls(False, distinct.astype(np.int64))
        words = [text for text in distinct.tolist() if text and not is_number(text)]
        if any(is_number(text) and not _WHOLE_NUMBER.fullmatch(text) for text in distinct.tolist()):
            return cls(True, np.array(words, dtype=np.str_))
        return cls(False, distinct[distinct != ""])

    def merge(self, other: TargetSurvey) -> TargetSurvey:
        """The survey of the targets of both."""
        parts = [survey.labels for survey in (self, other) if len(survey.labels)]
        if len({part.dtype.kind for part in parts}) > 1:
            parts = [part.astype(np.str_) for part in parts]
        labels = np.unique(np.concatenate(parts)) if parts else self.labels
        merged = TargetSurvey(False, labels)
        return merged.as_values() if self.has_reals or other.has_reals else merged

    def as_values(self) -> TargetSurvey:
        """The survey of the same targets where whole numbers are meant as values too."""
        return TargetSurvey(True, np.array(_words(self.labels), dtype=np.str_))

    def targets(self, outputs: int, dtype: np.dtype, where: str) -> Targets:
        """How to encode these targets; `outputs` real numbers a sample, of `dtype`, in case of a regression.

        Raises DataError, naming `where`, if words and real numbers stand side by side.
        """
        words = _words(self.labels)
        if self.has_reals and words:
            raise DataError(
                f'{where}: a regression needs numbers alone, and among the targets are words such as "{words[0]}"; '
                "the labels of classes are whole numbers or words"
            )
        if self.has_reals:
            return Targets(None, outputs, dtype)
        classes = self.labels if words else np.unique(self.labels.astype(np.int64))
        return Targets(classes, len(classes), np.dtype(np.int64))


@dataclass(frozen=True)
class Targets:
    """Encodes raw targets.

    Attributes:
        classes: the sorted labels, int64 or words; class k is the k-th of them. None for a regression.
        outputs: numbers that a model gives for each sample: one a class, or one a target value.
        dtype: of encoded targets: int64 for classes, the training dtype for a regression.
    """

    classes: np.ndarray | None
    outputs: int
    dtype: np.dtype

    def encode(self, raw: np.ndarray) -> np.ndarray:
        """Class numbers, in the shape of `raw`, or (n, outputs) values. Every label must be one of the classes."""
        if self.classes is None:
            return raw.astype(self.dtype).reshape(len(raw), self.outputs)
        labels = raw.astype(np.str_ if self.classes.dtype.kind == "U" else self.classes.dtype, copy=False)
        return np.searchsorted(self.classes, labels).astype(np.int64, copy=False)


def is_number(text: str) -> bool:
    """Whether Python reads the text as a real number; spaces around it count for nothing."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _words(labels: np.ndarray) -> list[str]:
    return [label for label in labels.tolist() if not is_number(label)]
