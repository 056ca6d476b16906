"""A trainer that waits for its run trains it as one that is started for it, and does not outlive its starter."""

import subprocess
import sys

import psutil
import pytest

from designer.train.events import EventTail
from designer.train.ready import ReadyTrainer
from designer.train.run import RunError, RunFolder, is_alive

STARTER = """
import sys, time
from designer.train.ready import ReadyTrainer
ready = ReadyTrainer()
ready.prepare()
print(ready.process.pid, flush=True)
time.sleep(600)
"""


def losses(run):
    return [event["losses"] for event in EventTail(run.events_path).read() if event["type"] == "step"]


@pytest.mark.timeout(180)
def test_the_run_is_that_of_a_new_process(classifier, tmp_path):
    ready = ReadyTrainer()
    run = RunFolder.create(tmp_path / "runs", classifier.data)
    assert ready.start(run) is None, "nothing waits yet"
    ready.prepare()
    process = ready.start(run)
    assert is_alive(run)
    ready.prepare()
    with pytest.raises(RunError, match="being trained already"):
        ready.start(run)
    ready.close()
    assert process.wait(120) == 0
    assert len(losses(run)) == 2
    assert EventTail(run.events_path).read()[-1]["type"] == "finished"

    again = RunFolder.create(tmp_path / "runs", classifier.data)
    command = [sys.executable, "-m", "designer.train", "--run", str(again.path)]
    subprocess.run(command, check=True, timeout=120)
    assert losses(again) == losses(run)


@pytest.mark.timeout(120)
def test_it_ends_with_its_starter():
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    waiting = psutil.Process(int(starter.stdout.readline()))
    starter.kill()
    starter.wait()
    waiting.wait(60)
