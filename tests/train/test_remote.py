"""Training on a host over ssh, against a real sshd: the curve is whole after the connection was cut."""

import json
import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import save_file

from designer.engine.compile import compile_document
from designer.graph.storage import read
from designer.train import checkpoint, control
from designer.train.hosts import Host, HostError, forget_host, hosts, keep_host, parse_host
from designer.train.remote import Mirror, send_run
from designer.train.run import RunFolder, is_alive, start_training
from designer.train.ssh import call, send
from tests.train.test_training import events_of, wait_for

HERE = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:" + os.environ.get("PATH", ""))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A host of our own: sshd on a loopback port with keys made for it; its folder, and a `netwright` command."""
    if SSHD is None or shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to test training over ssh, but there is no sshd. Install openssh-server.")
        pytest.skip("there is no sshd: apt-get install openssh-server rsync")
    folder = tmp_path_factory.mktemp("host")
    for name in ("host_key", "user_key", "other_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text((folder / "user_key.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        f"PermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    (folder / "ssh_config").write_text(
        f"Host box\n HostName 127.0.0.1\n Port {port}\n IdentityFile {folder}/user_key\n IdentitiesOnly yes\n"
        f" StrictHostKeyChecking no\n UserKnownHostsFile {folder}/known\n LogLevel ERROR\n"
        f"Host stranger\n HostName 127.0.0.1\n Port {port}\n IdentityFile {folder}/other_key\n IdentitiesOnly yes\n"
        f" StrictHostKeyChecking no\n UserKnownHostsFile {folder}/known\n LogLevel ERROR\n"
        f"Host closed\n HostName 127.0.0.1\n Port 1\n"
        f"Host unseen\n HostName 127.0.0.1\n Port {port}\n StrictHostKeyChecking yes\n UserKnownHostsFile /dev/null\n"
    )
    command = folder / "netwright"
    command.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(HERE))} OMP_NUM_THREADS=1\n"
        f"exec {shlex.quote(sys.executable)} -c 'from designer.cli import main; main()' \"$@\"\n"
    )
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        yield folder
    finally:
        for process in psutil.Process(daemon.pid).children(recursive=True):
            process.kill()
        daemon.kill()
        daemon.wait()


@pytest.fixture
def box(server, monkeypatch, tmp_path) -> Host:
    monkeypatch.setenv("NETWRIGHT_SSH", f"ssh -F {server}/ssh_config")
    host = Host("box", str(tmp_path / "there"), str(server / "netwright"), "box")
    for _ in range(100):
        try:
            call(host, "true")
            break
        except HostError:
            time.sleep(0.1)
    return host


def connections(run: RunFolder) -> list[psutil.Process]:
    follower = psutil.Process(json.loads(run.process_path.read_text())["pid"])
    return [process for process in follower.children() if process.name() == "ssh"]


@pytest.mark.slow
def test_a_cut_connection_leaves_neither_holes_nor_doubles(box, small_classifier, tmp_path):
    run = RunFolder.create(tmp_path, small_classifier(epochs=9000, eval_every=9000, checkpoint_every=20).data)
    send_run(run, box, send_data=False)
    process = start_training(run)
    there = Path(box.folder) / run.path.name
    wait_for(run, "step")
    for connection in connections(run):
        connection.kill()
    lost = wait_for(run, "warning")
    assert "lost" in lost["message"]
    seen = len(events_of(run))
    deadline = time.monotonic() + 60
    while len(events_of(run)) < seen + 3 and time.monotonic() < deadline:  # it has connected again
        time.sleep(0.1)

    process.kill()  # as when this machine is switched off; the run there goes on
    process.wait()
    assert not is_alive(run)
    assert is_alive(RunFolder(there))
    process = start_training(run, resume=True)
    time.sleep(1)
    control.write(run, "stop")
    assert process.wait(90) == 0

    lines = [line for line in run.events_path.read_text().splitlines() if '"from": "here"' not in line]
    assert lines == (there / "events.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if '"type": "step"' in line]
    assert steps == sorted(set(steps))
    assert json.loads(lines[-1])["type"] in ("stopped", "finished")
    assert checkpoint.load(run.last_path)["step"] == json.loads(lines[-1])["step"]


@pytest.mark.slow
def test_the_data_set_goes_along_and_results_come_back(box, small_classifier, tmp_path, monkeypatch):
    from PIL import Image

    for part, name, number in ((p, n, i) for p in ("train", "val") for n in "abc" for i in range(2)):
        path = tmp_path / "images" / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number * 90, 40, 200)).save(path)
    doc = small_classifier(epochs=2)
    doc.set_data(kind="folder", path=str(tmp_path / "images"))
    compiled, first = compile_document(doc.data), next(n for n in doc.data.nodes if n.component.startswith("stem."))
    module = next(name for name, node in compiled.node_of.items() if node == first.id)
    save_file(compiled.model.get_submodule(module).state_dict(), tmp_path / "first.safetensors")
    first.weights = f"file:{tmp_path}/first.safetensors"
    run = RunFolder.create(tmp_path / "runs", doc.data)
    send_run(run, box, send_data=True)
    monkeypatch.setenv("PATH", _without("rsync", tmp_path))  # scp takes its place
    assert start_training(run).wait(120) == 0
    assert events_of(run)[-1]["type"] == "finished"
    document = read(Path(box.folder) / run.path.name / "graph.netwright")
    own = Path(box.folder).resolve() / run.path.name / "weights" / "0" / "first.safetensors"
    assert [n.weights for n in document.nodes if n.weights] == [f"file:{own}"]
    told = [event["message"] for event in events_of(run) if "message" in event]
    assert any(f"weights of file:{own}" in text for text in told)
    sent = document.data.path
    assert sent == f"{Path(box.folder).resolve()}/data/images"
    assert (Path(sent) / "val" / "c" / "1.png").is_file()
    assert read(run.graph_path).data.path == str(tmp_path / "images")
    assert run.evaluation_path.is_file()
    run.best_path.unlink()
    Mirror(run).fetch_now()
    assert run.best_path.is_file()


def _without(tool: str, folder: Path) -> str:
    """A PATH on which everything is but one program."""
    place = folder / "bin"
    place.mkdir()
    for name in ("ssh", "scp", "sh", "bash", "env"):
        (place / name).symlink_to(shutil.which(name))
    assert shutil.which(tool, path=str(place)) is None
    return str(place)


def test_what_is_wrong_is_said(box, small_classifier, tmp_path):
    def said(host: Host) -> str:
        with pytest.raises(HostError) as caught:
            call(host, f"{host.command} --version")
        return str(caught.value)

    assert "is not known" in said(Host("no-such-host.invalid"))
    assert "refuses the key" in said(Host("stranger"))
    assert "does not answer" in said(Host("closed"))
    assert "Connect once" in said(Host("unseen"))
    assert "Netwright is not found on box" in said(Host("box", command="/nowhere/netwright", name="box"))
    run = RunFolder.create(tmp_path, small_classifier().data)
    send_run(run, Host("stranger", str(tmp_path / "there")), send_data=False)
    assert start_training(run).wait(60) == 2
    assert "refuses the key" in events_of(run)[-1]["message"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_there_is_said(box, tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.write_bytes(os.urandom(2**21))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(HostError, match="The disk of box is full"):
            send(box, large, str(small))
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_hosts_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_HOSTS", str(tmp_path / "kept" / "hosts.json"))
    assert hosts() == []
    keep_host(Host("me@gpu1", "/data/runs", "/opt/nw", "lab"))
    assert parse_host("lab") == Host("me@gpu1", "/data/runs", "/opt/nw", "lab")
    assert parse_host("me@gpu2:~/work") == Host("me@gpu2", "work")
    assert parse_host("gpu3") == Host("gpu3")
    for wrong in ("-oProxyCommand=x", "a b", ""):
        with pytest.raises(HostError, match="is no host"):
            parse_host(wrong)
    forget_host("lab")
    assert hosts() == []
    with pytest.raises(HostError, match="no host 'lab'"):
        forget_host("lab")
