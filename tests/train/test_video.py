"""Videos and cameras: decoded, played at their pace, written; what is broken is said."""

import base64
import json
import queue
import threading
import time

import cv2
import numpy as np
import pytest

from designer.graph.errors import NetwrightError
from designer.train.loop import Trainer
from designer.train.player import Player, record, serve
from designer.train.run import RunFolder
from designer.train.sources import Camera, camera_number, cameras, moves
from designer.train.trained import load_trained
from designer.train.video import VideoError, open_source

FRAMES, FPS = 24, 12.0


def draw_video(path, frames=FRAMES, size=(96, 64), codec="mp4v"):
    """A square that goes to the right; the n-th frame is of the grey n * 8, modulo 256."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, size)
    assert writer.isOpened()
    for n in range(frames):
        frame = np.full((size[1], size[0], 3), n * 8 % 256, np.uint8)
        frame[20:40, 2 * n : 2 * n + 20] = (0, 0, 255)
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from designer.graph.templates import load_template

    doc = load_template("quick-start")
    for name in ("height", "width"):
        doc.set_param(doc.data.nodes[0], name, 64)
    doc.set_training(epochs=1, batch=4, workers=0, device="cpu")
    doc.set_data(train_images=4, val_images=2)
    run = RunFolder.create(tmp_path_factory.mktemp("runs"), doc.data)
    Trainer(run).train()
    return load_trained(run, "cpu")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mov", "mp4v")])
def test_frames_come_in_order_and_from_any_place(tmp_path, name, codec):
    video = open_source(str(draw_video(tmp_path / name, codec=codec)))
    assert (video.frames, video.fps, video.width, video.height) == (FRAMES, FPS, 96, 64)

    def grey():
        return round(float(video.read()[:, 50:, 90:].float().mean()) / 8)

    assert [grey() for _ in range(3)] == [0, 1, 2]
    video.seek(17)
    assert grey() == 17
    video.skip(3)
    assert grey() == 21
    video.seek(5)
    frame = video.read()
    assert frame[0, 30, 20] > 200 > frame[2, 30, 20] + 100  # red is first
    while video.read() is not None:
        pass
    assert video.cut_off() == ""
    video.close()


def test_what_is_no_video_is_said(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError, match="no frame can be decoded"):
        open_source(str(tmp_path / "text.mp4"))
    whole = draw_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index, at the end, is gone
    with pytest.raises(VideoError, match="cut off"):
        open_source(str(tmp_path / "cut.mp4"))
    with pytest.raises(VideoError, match="no such file"):
        open_source(str(tmp_path / "none.mp4"))


def test_a_truncated_video_is_played_as_far_as_it_goes(tmp_path):
    whole = draw_video(tmp_path / "whole.avi", codec="MJPG").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    video = open_source(str(tmp_path / "cut.avi"))
    count = 0
    while video.read() is not None:
        count += 1
    assert 0 < count < FRAMES
    video.close()


def test_cameras_are_listed_without_opening_them(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert cameras(tmp_path / "none") == []
    for name, about, index in (("video2", "Webcam", "0"), ("video3", "Webcam", "1"), ("video0", "Microscope", "0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(about + "\n")
        (tmp_path / name / "index").write_text(index + "\n")
    assert cameras(tmp_path) == [Camera(0, "Microscope"), Camera(2, "Webcam")]
    assert camera_number("camera:2") == 2
    assert camera_number("camera.mp4") is None
    assert moves("a/B.MP4")
    assert moves("camera:0")
    assert not moves("a.png")


def test_a_camera_that_is_not_there_is_said():
    with pytest.raises(VideoError, match="Camera 87 cannot be opened"):
        open_source("camera:87")


def test_a_video_is_written_annotated_as_coco_and_as_lines(trained, tmp_path):
    video = draw_video(tmp_path / "in.mp4")
    said = []
    for name in ("out.mp4", "out.json", "out.jsonl"):
        record(trained, str(video), tmp_path / name, 0.01, lambda: False, said.append)
    written = open_source(str(tmp_path / "out.mp4"))
    assert (written.frames, written.fps, written.width) == (FRAMES, FPS, 96)
    coco = json.loads((tmp_path / "out.json").read_text())
    assert len(coco["images"]) == FRAMES
    assert coco["images"][3]["file_name"] == "in-000003.png"
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert lines[12]["seconds"] == 1.0
    assert len(coco["annotations"]) == sum(len(line["found"]) for line in lines)
    assert said[0]["total"] == FRAMES
    assert said[-1] == {"saved": str(tmp_path / "out.jsonl"), "frames": FRAMES, "note": ""}
    with pytest.raises(NetwrightError, match=r"\.mp4, \.avi or \.mov"):
        record(trained, str(video), tmp_path / "out.gif", 0.5, lambda: False, said.append)


def test_recording_is_cancelled_and_what_there_is_can_be_played(trained, tmp_path):
    said = []
    record(
        trained, str(draw_video(tmp_path / "in.avi", codec="MJPG")), tmp_path / "out.avi", 0.5,
        lambda: len(said) == 5, said.append,
    )  # fmt: skip
    assert said[-1]["frames"] == 5
    assert open_source(str(tmp_path / "out.avi")).frames == 5


class Window:
    """What a window does: takes what the player says, and steers."""

    def __init__(self, trained, source):
        self.requests, self.said = queue.Queue(), queue.Queue()
        asked = {"play": str(source)}
        self.thread = threading.Thread(target=serve, args=(trained, asked, self.requests, lambda: False, self.said.put))
        self.thread.start()

    def next(self, word, shown=True):
        """The next answer that has this word."""
        while word not in (answer := self.said.get(timeout=60)):
            if "jpeg" in answer and shown:
                self.requests.put({"shown": 1})
        if "jpeg" in answer and shown:
            self.requests.put({"shown": 1})
        return answer


@pytest.fixture
def window(trained, tmp_path):
    made = Window(trained, draw_video(tmp_path / "in.mp4", frames=240))
    yield made
    made.requests.put({"cancel": True})
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_a_video_plays_pauses_seeks_and_steps(window):
    opened = window.next("opened")
    assert (opened["frames"], opened["fps"], opened["live"]) == (240, FPS, False)
    first = window.next("jpeg")
    assert (first["frame"], first["width"], first["height"]) == (0, 96, 64)
    assert cv2.imdecode(np.frombuffer(base64.b64decode(first["jpeg"]), np.uint8), 1).shape == (64, 96, 3)
    window.requests.put({"pause": True})
    window.requests.put({"seek": 30})
    while (frame := window.next("jpeg")["frame"]) != 30:
        assert frame < 30
    for step, expected in ((1, 31), (-1, 30), (-1, 29)):
        window.requests.put({"step": step})
        assert window.next("jpeg")["frame"] == expected
    time.sleep(0.2)
    assert window.said.empty()  # it is paused
    window.requests.put({"seek": 235})
    window.requests.put({"resume": True})
    assert window.next("ended") == {"ended": ""}
    window.requests.put({"seek": 2})
    assert window.next("jpeg")["frame"] == 2


def test_a_window_that_is_busy_gets_few_frames_and_no_old_ones(window):
    window.next("opened")
    time.sleep(1.5)  # it draws nothing meanwhile
    assert window.said.qsize() <= 2
    for _ in range(2):
        window.next("jpeg")
    late = window.next("jpeg")
    assert late["frame"] > 6
    assert late["dropped"] > 3


def test_a_player_that_cannot_open_its_source_says_so(trained):
    said = []
    serve(trained, {"play": "camera:87"}, queue.Queue(), lambda: False, said.append)
    assert "Camera 87 cannot be opened" in said[0]["refused"]


class Paced:
    """A file that gives its frames as a camera does: in its own time, over and over."""

    def __init__(self, path):
        self._file = cv2.VideoCapture(path)
        self.isOpened, self.get, self.release = self._file.isOpened, self._file.get, self._file.release

    def read(self):
        time.sleep(1 / FPS)
        good, frame = self._file.read()
        if not good:
            self._file.set(cv2.CAP_PROP_POS_FRAMES, 0)
            good, frame = self._file.read()
        return good, frame


def test_a_camera_is_recorded_in_its_own_time(trained, tmp_path, monkeypatch):
    """Dropped frames are made up for by showing others longer."""
    camera = Paced(str(draw_video(tmp_path / "in.avi", codec="MJPG")))
    with monkeypatch.context() as patch:
        patch.setattr("designer.train.video.cv2.VideoCapture", lambda _index: camera)
        source = open_source("camera:0")
    requests, said = queue.Queue(), []

    def take(answer):
        said.append(answer)
        if "jpeg" in answer:
            time.sleep(0.25)  # slower than 12 a second
            requests.put({"shown": 1})
        if len(said) == 5:
            requests.put({"cancel": True})

    Player(trained, source, requests, take, tmp_path / "out.avi", 0.5).play()
    assert (said[0]["live"], said[0]["frames"]) == (True, 0)
    assert said[-1]["saved"] == str(tmp_path / "out.avi")
    assert open_source(str(tmp_path / "out.avi")).frames == said[-1]["frames"] > 2 * sum("jpeg" in a for a in said)
