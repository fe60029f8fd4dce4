"""What is known to be wrong with scores that older versions kept in a model's folder. The models predict as ever."""

from collections.abc import Sequence
from itertools import pairwise

from lamina.config import Config
from lamina.model_report import Report
from lamina.training.loop import EpochRecord

_AGAIN = "train it again for honest ones"


def faults_of_scores(config: Config, report: Report, history: Sequence[EpochRecord]) -> list[str]:
    """Return a sentence for each way in which kept scores are too good; none of a fit that keeps what it has seen.

    Args:
        config, report, history: as in ``lamina.model.Model``.
    """
    if "seen" in report.origin or not report.scores:
        return []
    faults = []
    # Rows of a file of their own, or of a data set's official test part, were no part of the training table.
    divided = {"test": isinstance(config.test, float), "validation": not isinstance(config.validation, str)}
    parts = [part for part in report.scores if divided.get(part, True)]
    its_scores = "its scores" if len(parts) == len(report.scores) else f"its {' and '.join(parts)} scores"
    if config.weight is not None and parts:
        rows = report.rows.get("train", 0) + ("test" in parts) * report.rows.get("test", 0)
        whole = rows > report.origin.get("rows", rows)
        if_whole = "" if whole else ", if its weights are whole numbers"
        faults.append(
            f"{its_scores} are too good{if_whole}: an older version made whole weights, column {config.weight!r}, "
            f"copies of rows, and held out copies of rows that were trained on; {_AGAIN}"
        )
    if parts and any(later.epoch <= earlier.epoch for earlier, later in pairwise(history)):
        faults.append(
            f"{its_scores} are too good: training started from another model, and an older version held out rows that "
            f"the first training had learned from; {_AGAIN}"
        )
    if config.class_weight is not None:
        faults.append(
            "what is said of its scores is wrong: an older version compared a network of weighted classes with models "
            f"of unweighted ones, and what it says of calibration is too good; {_AGAIN}"
        )
    return faults
