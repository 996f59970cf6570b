"""What is in the store: add, show, rm."""
import json
import os
import subprocess
import tempfile
import time

from box import Box, GUIDE, REPO, same, sized, split, test
from fake_hub import Content


@test
def add_show_and_rm(s):
    b = Box(s)
    d = s.enter_context(tempfile.TemporaryDirectory())
    one, two = split(d, "m", 2)
    got = json.loads(b.run("add", two, "--json", code=0).stdout)
    same([got["name"], got["bytes"], len(b.blobs())], ["m", os.path.getsize(one) + os.path.getsize(two), 2])
    assert "belongs to another file" in b.run("add", "models/guide.gguf", "--name", "m", code=6).stderr
    same(len(b.blobs()), 2, "what got no name is not kept")
    b.run("rm", "m", code=0)
    os.rename(one, one + ".aside")
    assert "part 1 of 2 is missing" in b.run("add", two, code=4).stderr
    with open(one, "wb") as f:
        f.write(GUIDE[:5000])
    assert "incomplete" in b.run("add", two, code=8).stderr
    with open(one, "wb") as f:
        f.write(GUIDE)  # sound, and no part
    b.run("add", two, code=8)
    same(b.blobs(), [])
    b.run("rm", "absent", code=4)
    b.run("show", "absent", code=4)
    same([r["name"] for r in json.loads(b.run("list", "--json", code=0).stdout)], ["guide"])


@test
def what_is_served_is_not_removed(s):
    b = Box(s)
    b.pull()
    b.pull(REPO, "--name", "twin")
    b.hub.repos["org/other-GGUF"] = {"other-Q8_0.gguf": Content(sized(len(GUIDE) + 4096))}
    b.pull("org/other-GGUF")
    log = open(os.path.join(b.data, "log"), "w+")
    p = subprocess.Popen(b.command("serve", "--demo", "--listen", "127.0.0.1:0", "--preload", REPO), env=b.env, stdout=log, stderr=log)
    s.callback(p.wait)
    s.callback(p.terminate)
    admin = os.path.join(b.data, "d", "admin.sock")
    for _ in range(6000):
        told = open(log.name).read()
        if os.path.exists(admin) and "curl" in told and f"name={REPO} ms=" in told:
            break
        assert p.poll() is None, open(log.name).read()
        time.sleep(0.05)
    assert "is being served" in b.run("rm", REPO, code=6).stderr
    same(len(b.refs()), 3)
    b.run("rm", "org/other-GGUF", code=0)  # offered, but not loaded: nobody needs the file
    same([len(b.refs()), len(b.blobs())], [2, 1])
    b.run("rm", REPO, "--force", code=0)
    same([len(b.refs()), len(b.blobs())], [1, 1])
    p.terminate()
    same(p.wait(), 0)
    b.run("rm", "twin", code=0)
    same(b.blobs(), [])
