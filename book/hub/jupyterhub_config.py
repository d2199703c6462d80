"""One server for a class: book/hub.md says how to use it.

`make hub` starts it on this computer, to try it.
"""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821 (JupyterHub gives it)

# Learners must be able to read it, and only you to write.
COURSE = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("IMG2IMG_HUB_STATE") or COURSE / "build" / "hub")
STATE.mkdir(mode=0o700, parents=True, exist_ok=True)

# Reached from this computer only. A class comes through a web server
# that speaks HTTPS and passes on to this.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = f"sqlite:///{STATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{STATE}/cookie_secret"

# ── For a trial only: replace this part for a class ─────────────────────
# Whoever knows the password may take any name, and all servers run as the
# user who started the hub: nothing keeps learners apart.
password = os.environ.get("IMG2IMG_HUB_PASSWORD", "")
if len(password) < 8:  # JupyterHub wants it too, but says so in 30 lines
    sys.exit(
        "For a trial set IMG2IMG_HUB_PASSWORD, to 8 characters or more; "
        "for a class choose an authenticator, as book/hub.md says."
    )
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = password
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{STATE}/homes/{{username}}"
if os.geteuid() == 0:  # in a container; a Jupyter server asks to be told
    c.Spawner.args = ["--allow-root"]
# ────────────────────────────────────────────────────────────────────────

# Copies the lessons into the learner's folder, then is the usual server.
c.Spawner.cmd = [sys.executable, f"{COURSE}/book/hub/single_user.py"]
c.Spawner.default_url = "/lab/tree/img2img-lessons/01_setup.ipynb"
c.Spawner.environment = {
    # Or else each learner would take all cores.
    "OMP_NUM_THREADS": "1",
    # One GPU does not hold thirty copies of Stable Diffusion.
    # Take this line out where each learner has one.
    "CUDA_VISIBLE_DEVICES": "",
    # One copy of each downloaded model for all. Learners cannot write
    # there, so they must not try to download either.
    "HF_HUB_CACHE": "/srv/img2img-models",
    "HF_HUB_OFFLINE": "1",
}

# Kept to by systemdspawner, dockerspawner and kubespawner; the trial's
# spawner cannot.
c.Spawner.mem_limit = "3G"
c.Spawner.cpu_limit = 2

# A class arrives in one minute, and then all servers share the cores.
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300

# Frees the memory of whoever has gone home. Files stay, variables are
# lost: it must be longer than the longest break.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            *(sys.executable, "-m", "jupyterhub_idle_culler"),
            *("--timeout=3600", "--cull-every=300"),
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": [
            *("list:users", "read:users:activity"),
            *("read:servers", "delete:servers"),
        ],
    }
]
