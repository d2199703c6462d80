"""A class on one server, as book/hub.md says: three learners run lesson 1 at the same time, each on a server of theirs."""

import contextlib
import filecmp
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest
import requests
import websocket

from tests import notebook_outputs

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "book" / "hub" / "jupyterhub_config.py"
PROXY = ROOT / "build" / "proxy" / "node_modules" / ".bin"  # where `make` lets npm put it
LESSONS = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))
FOLDER, LESSON = "img2img-lessons", "01_setup.ipynb"
NAMES = ("ada", "grace", "katherine")
PASSWORD = "only for this test"
LONG = 600  # seconds; nothing is measured here, and two busy cores are slow
pytestmark = pytest.mark.xdist_group("hub")


@pytest.fixture(scope="module")
def hub():
    """The address of a hub that runs with the course's own settings, and the folder of its learners' homes."""
    path = f"{PROXY}{os.pathsep}{os.environ['PATH']}"
    if not shutil.which("configurable-http-proxy", path=path):
        assert not os.environ.get("CI"), "CI must have JupyterHub's proxy: .ci/run installs it"
        pytest.skip("JupyterHub's proxy was not found; install Node.js with npm, then run `make hub-proxy`")
    with tempfile.TemporaryDirectory() as state:
        public, own, proxy_api = free_ports(3)
        environment = {"PATH": path, "IMG2IMG_HUB_PASSWORD": PASSWORD, "IMG2IMG_HUB_STATE": state}
        command = [
            *(sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)),
            *(f"--JupyterHub.bind_url=http://127.0.0.1:{public}", f"--JupyterHub.hub_port={own}"),
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{proxy_api}",
        ]
        log = Path(state) / "log.txt"
        with open(log, "w") as said:
            running = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environment, stdout=said, stderr=subprocess.STDOUT
            )
        try:
            address = f"http://127.0.0.1:{public}"
            wait_for(lambda: answers(f"{address}/hub/api"), running, log)
            yield address, Path(state).resolve() / "homes"
        finally:
            children = psutil.Process(running.pid).children(recursive=True)
            running.terminate()  # the hub stops the servers, their kernels, the culler and the proxy
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(120)
            _, left = psutil.wait_procs(children, timeout=30)
            for process in left:
                process.kill()
            running.kill()
            running.wait()
        assert "Traceback" not in log.read_text(), log.read_text()[-5000:]
        assert not left, "the hub left processes behind"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in free]


def answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=10).ok
    return False


def wait_for(true, running: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert running.poll() is None, f"JupyterHub stopped:\n{log.read_text()[-3000:]}"
        if time.monotonic() > end:
            raise TimeoutError(f"JupyterHub did not answer:\n{log.read_text()[-3000:]}")
        time.sleep(0.5)


class Learner:
    """Somebody who logs in as a browser does, and talks to a server of theirs through the hub's proxy."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        self.session = requests.Session()

    def log_in(self, password: str) -> bool:
        page = f"{self.address}/hub/login"
        self.session.get(page, timeout=LONG)
        form = {"username": self.name, "password": password, "_xsrf": self.session.cookies["_xsrf"]}
        answer = self.session.post(page, form, timeout=LONG, allow_redirects=False)
        return answer.status_code == 302

    def start_server(self) -> None:
        user = f"{self.address}/hub/api/users/{self.name}"
        shown = {"X-XSRFToken": self.session.cookies.get("_xsrf", path="/hub/"), "Referer": f"{self.address}/hub/home"}
        made = self.session.post(f"{user}/tokens", json={}, headers=shown, timeout=LONG)
        made.raise_for_status()
        # from here on as a program that the learner gave a token
        self.session = requests.Session()
        self.token = {"Authorization": f"token {made.json()['token']}"}
        self.session.headers.update(self.token)
        self.session.post(f"{user}/server", timeout=LONG).raise_for_status()
        end = time.monotonic() + LONG
        while not self.session.get(user, timeout=LONG).json()["servers"][""]["ready"]:
            if time.monotonic() > end:
                raise TimeoutError(f"the server of {self.name} did not start")
            time.sleep(0.5)

    def ask(self, what: str, whose: str | None = None) -> requests.Response:
        return self.session.get(f"{self.address}/user/{whose or self.name}/api/{what}", timeout=LONG)

    def open(self, path: str) -> nbformat.NotebookNode:
        """The notebook at ``path``, with a kernel for it."""
        server = f"{self.address}/user/{self.name}/api"
        asked = {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        started = self.session.post(f"{server}/sessions", json=asked, timeout=LONG)
        started.raise_for_status()
        channels = f"{server}/kernels/{started.json()['kernel']['id']}/channels"
        header = [f"{name}: {value}" for name, value in self.token.items()]
        self.kernel = websocket.create_connection(channels.replace("http", "ws", 1), timeout=LONG, header=header)
        return nbformat.from_dict(self.ask(f"contents/{path}").json()["content"])

    def run(self, code: str) -> list[nbformat.NotebookNode]:
        """Run a cell; its outputs."""
        about = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
        about |= {"username": self.name, "session": self.name, "date": ""}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        content["user_expressions"] = {}
        request = {"header": about, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.kernel.send(json.dumps(request))
        outputs = []
        while True:
            message = nbformat.from_dict(json.loads(self.kernel.recv()))
            if message.parent_header.get("msg_id") != about["msg_id"]:
                continue
            if message.msg_type in ("stream", "display_data", "execute_result", "error"):
                outputs.append(nbformat.v4.output_from_msg(message))
            elif message.msg_type == "status" and message.content.execution_state == "idle":
                return outputs


def test_three_learners_run_lesson_1_at_the_same_time(hub):
    address, homes = hub
    assert not Learner(address, NAMES[0]).log_in("not the password")
    stored = nbformat.read(ROOT / "notebooks" / LESSON, 4)

    def start(name: str) -> tuple[Learner, nbformat.NotebookNode]:
        learner = Learner(address, name)
        assert learner.log_in(PASSWORD)
        learner.start_server()
        return learner, learner.open(f"{FOLDER}/{LESSON}")

    def run_all(learner: Learner, lesson: nbformat.NotebookNode) -> None:
        for cell in lesson.cells:
            if cell.cell_type == "code":
                assert cell.metadata.pop("trusted"), "the sliders would stand still"
                cell.outputs = learner.run(cell.source)
                told = [output.evalue for output in cell.outputs if output.output_type == "error"]
                assert not told, f"{learner.name}: {told} in\n{cell.source}"

    with ThreadPoolExecutor(len(NAMES)) as at_once:
        started = list(at_once.map(start, NAMES))
        list(at_once.map(run_all, *zip(*started, strict=True)))

    for learner, lesson in started:
        assert not notebook_outputs.differences(stored, lesson), learner.name
        own = homes / learner.name / FOLDER
        _, *unlike = filecmp.cmpfiles(own, ROOT / "notebooks", LESSONS, shallow=False)
        assert unlike == [[], []]
        (output,) = learner.run("import os; print(torch.get_num_threads(), os.environ['HF_HUB_OFFLINE'], os.getcwd())")
        assert output.text.split() == ["1", "1", str(own)]
        others = [learner.ask("contents", other).status_code for other in NAMES if other != learner.name]
        assert others == [403, 403], "a learner must not see another's files"


def test_a_new_server_copies_what_is_missing_and_leaves_work_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    from book.hub import single_user

    single_user.copy_lessons(tmp_path)
    (tmp_path / LESSON).write_text("my work")
    (tmp_path / "02_strength.ipynb").unlink()
    single_user.copy_lessons(tmp_path)
    assert (tmp_path / LESSON).read_text() == "my work"
    assert filecmp.cmp(tmp_path / "02_strength.ipynb", ROOT / "notebooks" / "02_strength.ipynb", shallow=False)


def test_the_hub_wants_a_password(tmp_path):
    environment = os.environ | {"IMG2IMG_HUB_PASSWORD": "short", "IMG2IMG_HUB_STATE": str(tmp_path / "state")}
    command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONG)
    assert ended.returncode == 1
    assert "8 characters or more" in ended.stderr
    assert ended.stderr.count("\n") == 1
