"""Where a run's figures go beside its events: TensorBoard always, MLflow or Weights & Biases where settings say so."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.train.run import RunFolder

PACKAGES = {"mlflow": "MLflow", "wandb": "Weights & Biases"}


class TrackerError(NetwrightError):
    """A tracker that is wanted is not installed, or does not start."""


def check_tracker(name: str) -> None:
    """Raises TrackerError when the tracker of the settings is not installed; `none` needs nothing."""
    if name in PACKAGES and importlib.util.find_spec(name) is None:
        raise TrackerError(
            f"The tracker is {PACKAGES[name]}, but its package is not installed. Install it with "
            f"`pip install {name}`, or set Tracker to none: TensorBoard's log is written anyway."
        )


class Trackers:
    """Passes figures on to every tracker of a run.

    Args:
        run: whose folder holds TensorBoard's log, and names the run elsewhere.
        document: its name is the experiment, its settings are the parameters.

    Raises:
        TrackerError: when a wanted tracker is missing or does not start.
    """

    def __init__(self, run: RunFolder, document: GraphData) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(run.tensorboard))
        name = document.training.tracker
        check_tracker(name)
        try:
            self._others = [_STARTS[name](run, document)] if name in _STARTS else []
        except Exception as error:  # a server that does not answer, a key that is missing: their own kinds
            self._board.close()
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise TrackerError(f"{PACKAGES[name]} does not start: {text}. Mend that, or set Tracker to none.") from None

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Figures of one step by name, such as `train/loss`; what is no number is left out."""
        numbers = {k: float(v) for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)
        for log, _ in self._others:
            log(numbers, step)

    def close(self) -> None:
        """Ends the run at every tracker."""
        self._board.close()
        for _, finish in self._others:
            finish()


class NoTrackers:
    """Tells nobody: what the processes beside a run's first one have."""

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


_Tracker = tuple[Callable[[Mapping[str, float], int], object], Callable[[], object]]


def _settings(document: GraphData) -> dict[str, Any]:
    sections = {"training": document.training.model_dump(), "data": document.data.model_dump()}
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def _mlflow(run: RunFolder, document: GraphData) -> _Tracker:
    mlflow = importlib.import_module("mlflow")
    mlflow.set_experiment(document.name)
    # A run that is resumed goes on there as well; the name has the second of its start.
    named = f"attributes.run_name = '{run.path.name}'"
    known = mlflow.search_runs(filter_string=named, max_results=1, output_format="list")
    mlflow.start_run(run_id=known[0].info.run_id if known else None, run_name=run.path.name)
    mlflow.log_params(_settings(document))
    return lambda values, step: mlflow.log_metrics(dict(values), step=step), mlflow.end_run


def _wandb(run: RunFolder, document: GraphData) -> _Tracker:
    wandb = importlib.import_module("wandb")
    started = wandb.init(
        project=document.name, name=run.path.name, config=_settings(document), dir=str(run.path), resume="allow",
        id=run.path.name,
    )  # fmt: skip
    return lambda values, step: started.log(dict(values), step=step), started.finish


_STARTS: dict[str, Callable[[RunFolder, GraphData], _Tracker]] = {"mlflow": _mlflow, "wandb": _wandb}
