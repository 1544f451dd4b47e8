"""Labels of populations: words that names of parameters, files and the command line can hold."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from largen.checks import require

LABEL = re.compile(r"\w[\w.+-]*")
"""What a label of a population looks like: names, files and the command line separate them by commas and brackets."""


class Labels:
    """Turns a sequence of words into a tuple of labels; None stays."""

    def __init__(self) -> None:
        self.name = "value"

    def __call__(self, value: Any) -> Any:
        """The labels, each one a word that no name of a parameter can misread."""
        if value is None:
            return None
        listed = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
        require(listed, self.name, "be a list of labels", value, 'Such as ("E", "I").')
        for word in value:
            require(isinstance(word, str), self.name, "be made of words", value)
            good = LABEL.fullmatch(str(word)) and not re.fullmatch("[0-9]+", str(word))
            must = "be made of letters, digits, '_', '.', '+' and '-', and not of digits alone"
            require(good, self.name, must, word, "Such as L23E.")
        labels = tuple(str(word) for word in value)
        twice = [word for word in labels if labels.count(word) > 1]
        require(not twice, self.name, "differ from each other", labels)
        return labels
