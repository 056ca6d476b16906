"""Another machine is chosen in the Train tab: a host is described, kept, used and forgotten."""

import json

from PySide6.QtCore import Qt

from designer.graph.templates import load_template
from designer.train.hosts import Host, hosts
from designer.ui.train_dock import TrainDock
from tests.ui.window.support import small


def test_a_run_goes_to_the_host_that_is_chosen(home, qtbot, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_HOSTS", str(home / "hosts.json"))
    dock = TrainDock()
    qtbot.addWidget(dock)
    dock.resize(980, 260)
    dock.set_document(small(load_template("quick-start")), home / "runs")
    dock.show()
    qtbot.waitExposed(dock)
    run_on = dock.form.run_on
    assert [run_on.box.itemText(i) for i in range(run_on.box.count())] == ["This machine", "New host…"]
    assert run_on.host() is None

    run_on.box.setCurrentIndex(1)
    qtbot.keyClicks(run_on.address, "two words")
    qtbot.mouseClick(run_on.keep, Qt.MouseButton.LeftButton)
    assert "is no host" in run_on.wrong.text()
    run_on.address.clear()
    qtbot.keyClicks(run_on.address, "me@no-such-host.invalid")
    qtbot.keyClicks(run_on.folder, "~/work")
    qtbot.mouseClick(run_on.keep, Qt.MouseButton.LeftButton)
    host = Host("me@no-such-host.invalid", "work", "netwright", "me@no-such-host.invalid")
    assert hosts() == [host]
    assert run_on.host() == host
    assert not run_on.address.isVisible()

    run = dock.start()
    assert json.loads(run.remote_path.read_text())["address"] == host.address
    qtbot.waitUntil(lambda: dock.watch.state == "failed", timeout=60_000)
    assert "is not known. Check its name" in dock.watch.last["error"]["message"]
    assert not dock.bar.fetch.isVisible()
    qtbot.mouseClick(run_on.forget, Qt.MouseButton.LeftButton)
    assert hosts() == []
    assert run_on.host() is None
