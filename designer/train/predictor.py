"""`python -m designer.train.predictor --run DIR`: a process that predicts for the window, by JSON lines.

It answers `{"ready": true, "task", "names", "device"}` once, then takes `{"images": [paths]}` and says
`{"image", "width", "height", "found", "done", "total", "ms"}` for each image, `{"skipped", "message", "done",
"total"}` for one that cannot be read, and `{"finished": n}`. A newer request, or `{"cancel": true}`, ends an older one.
Videos and cameras: `player.serve` says which requests it takes.
`{"error": text}` is the last word of a process that cannot go on. An end of stdin ends it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from designer.data.masks import area_of, from_runs
from designer.graph.errors import NetwrightError
from designer.train.found import LEAST
from designer.train.run import RunFolder
from designer.train.sources import STEERING
from designer.train.trained import Found, Trained, files_of, load_trained, predict


def as_json(found: Found, names: list[str], *, least: float = 0.0, pictures: bool = False) -> dict[str, Any]:
    """What was found in an image as plain data.

    Args:
        found: it.
        names: of the classes.
        least: lowest score of a box that is told; a classifier's scores are all.
        pictures: add each mask as a PNG (base64) that Qt can draw; of a semantic segmenter one of class indices.
    """
    rows: list[dict[str, Any]] = []
    for i in (found.scores >= (least if len(found.boxes) else 0)).nonzero()[:, 0].tolist():
        label = int(found.labels[i])
        row: dict[str, Any] = {"class": names[label], "label": label, "score": round(float(found.scores[i]), 4)}
        if len(found.boxes):
            row["box"] = [round(v, 1) for v in found.boxes[i].tolist()]
        if found.masks is not None:
            runs = found.masks[i]
            row["mask"] = {"size": list(runs["size"]), "counts": runs["counts"].decode()}
            row["pixels"] = area_of(runs)
            if pictures:
                row["picture"] = _picture(from_runs([runs])[0].bool().numpy())
        rows.append(row)
    height, width = found.image.shape[-2:]
    whole = {"image": str(found.path), "width": width, "height": height, "found": rows}
    if found.classes is not None and pictures:
        whole["classes"] = _picture(found.classes.numpy())
    return whole


def _picture(mask: NDArray[Any]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def answers(trained: Trained, paths: list[Path], stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Answers to one request, until it is done or `stopped` says that nobody waits for them any more."""
    files = list(files_of(paths))
    for done, path in enumerate(files, 1):
        if stopped():
            return
        place = {"done": done, "total": len(files)}
        began = time.perf_counter()
        try:
            (found,) = predict(trained, [path])
        except NetwrightError as error:
            yield {"skipped": str(path), "message": str(error), **place}
            continue
        ms = (time.perf_counter() - began) * 1e3
        yield {**as_json(found, trained.class_names, least=LEAST, pictures=True), **place, "ms": round(ms, 1)}
    yield {"finished": len(files)}


def main() -> int:
    """Serves the run of the command line."""
    parser = argparse.ArgumentParser(prog="python -m designer.train.predictor", description="Predicts for the window.")
    parser.add_argument("--run", type=Path, required=True, help="the run folder")
    options = parser.parse_args()
    out = sys.stdout

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    with contextlib.redirect_stdout(sys.stderr):  # whatever a component prints is no answer
        return _serve(options.run, say)


def _serve(run: Path, say: Callable[[dict[str, Any]], None]) -> int:
    """Answers requests from stdin until it ends. Returns the exit code."""
    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    try:
        trained = load_trained(RunFolder.open(run))
        say({"ready": True, "task": trained.task, "names": trained.class_names, "device": str(trained.device)})
        while (request := requests.get()) is not None:
            if STEERING & request.keys():  # of a video that is over
                continue
            if "play" in request or "record" in request:
                from designer.train import player  # OpenCV, which images do not need

                player.serve(trained, request, requests, lambda: _is_outdated(requests), say)
                continue
            paths = [Path(path) for path in request.get("images", [])]
            try:
                for answer in answers(trained, paths, lambda: _is_outdated(requests)):
                    say(answer)
            except NetwrightError as error:  # no image in a folder
                say({"skipped": "", "message": str(error), "done": 0, "total": 0})
                say({"finished": 0})
    except NetwrightError as error:
        say({"error": str(error)})
        return 2
    return 0


def _is_outdated(requests: queue.Queue[dict[str, Any] | None]) -> bool:
    """Whether a newer request waits; neither the end of stdin is one, nor what steers a video that is over."""
    while requests.queue and requests.queue[0] is not None and requests.queue[0].keys() & STEERING:
        requests.get()
    return bool(requests.queue) and requests.queue[0] is not None


def _listen(requests: queue.Queue[dict[str, Any] | None]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)


if __name__ == "__main__":
    sys.exit(main())
