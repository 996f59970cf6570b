"""Which files are the model that was asked for, and under which name."""
import hashlib
import json
import os
import subprocess
import tempfile

from box import Box, content_of, GUIDE, REPO, same, split, test
from fake_hub import Content


@test
def a_mirror_without_a_tree(s):
    for lfs in (True, False):
        content = Content(GUIDE, lfs=lfs)
        b = Box(s, {"README.md": Content(b"x", lfs=False), "m.gguf": content})
        b.hub.faults.append(lambda r: r.error(404) or True if "/tree/" in r.path else None)
        b.pull()
        b.blob_is(content)


@test
def a_list_of_many_pages(s):
    content = Content(GUIDE)
    b = Box(s, {**{f"f{i:04}.txt": Content(b"x", lfs=False) for i in range(250)}, "z.gguf": content})
    b.hub.page_size = 20
    b.pull()
    b.blob_is(content)
    assert len([1 for _, p, _, _ in b.hub.log if "/tree/" in p]) == 13
    b.hub.faults[:] = [lambda r: r.json([], {"Link": f'<{r.hub.url}{r.path}>; rel="next"'}) or True if "/tree/" in r.path else None]
    b.refuses(5, "has no end", empty=False)
    for link in ('<http://other.example/x>; rel="next"', 'nonsense; rel="next"', "<>; rel=next", '<file:///x>; rel="next"', '<//other/x>; rel="next"'):
        b.hub.faults[:] = [lambda r: r.json([], {"Link": link}) or True if "/tree/" in r.path else None]
        p = b.run("pull", REPO)
        assert p.returncode == 5, (link, p.returncode, p.stderr)


@test
def what_cannot_run_is_refused_before_it_moves(s):
    alien = GUIDE.replace(b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little") + b"llama",
                          b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little") + b"alien")
    assert alien != GUIDE
    for data, words in [(alien + bytes(64 << 20), 'the architecture "alien"'), (b"<!DOCTYPE html>" + bytes(64 << 20), "web page"), (bytes(64 << 20), "GGUF")]:
        b = Box(s, {"m.gguf": Content(data)})
        sent = [0]
        b.hub.faults[:] = [lambda r: setattr(r.plan, "swap", lambda piece, at: (sent.__setitem__(0, sent[0] + len(piece)), piece)[1])]
        b.refuses(8, words)
        assert sent[0] <= 2 << 20, f"{sent[0]} bytes moved"
        same(b.partials(), [])


@test
def which_file(s):
    one = lambda i: Content(GUIDE + bytes([i]))  # noqa: E731
    files = {"m-Q4_K_M.gguf": one(1), "m-q8_0.gguf": one(2), "m.IQ2_XXS.gguf": one(3), "mmproj-m-f16.gguf": one(4), "sub/m-Q8_0.gguf": one(5), "m-bf16.gguf": one(6),
             "README.md": Content(b"x", lfs=False), "Q6_K/m.gguf": one(7)}
    b = Box(s, files)
    for tag, want in [("", "m-Q4_K_M.gguf"), (":q4_k_m", "m-Q4_K_M.gguf"), (":iq2_xxs", "m.IQ2_XXS.gguf"), (":BF16", "m-bf16.gguf"), (":m-q8_0.gguf", "m-q8_0.gguf"),
                      (":sub/m-Q8_0.gguf", "sub/m-Q8_0.gguf"), (":m-Q8_0.gguf", "sub/m-Q8_0.gguf"), (":Q6_K", "Q6_K/m.gguf"), (":Q4_K_M@main", "m-Q4_K_M.gguf")]:
        got = b.pull(REPO + tag, env={"X": "y"})
        same([got["file"], got["name"]], [want, REPO + tag.split("@")[0]], tag)
    b.refuses(6, ["more than one file is Q8_0", "m-q8_0.gguf", "sub/m-Q8_0.gguf"], REPO + ":Q8_0", empty=False)
    b.refuses(4, ["no file is Q3_K_M", "m-Q4_K_M.gguf (1.9 MB)"], REPO + ":Q3_K_M", empty=False)
    b.refuses(4, "no file is mmproj-m-f16.gguf", REPO + ":mmproj-m-f16.gguf", empty=False)
    b = Box(s, {"README.md": Content(b"x", lfs=False)})
    b.refuses(4, "no .gguf file")
    for spec in ("name", "a/b/c", "/b", "a/", "a/b:", "a/b@", "../x", "a/..", "a/b:../x.gguf", "a/b@../x", "a b/c", "a/b:x\\y", "a" * 97 + "/b", "a/b@" + "r" * 101, "", "a/b:/x"):
        b.refuses(2, "hub:", spec)
    b.refuses(2, "--from is", REPO, "--from", "nowhere")
    b.refuses(2, "--connections is a number", REPO, "--connections", "0")


@test
def split_models_are_pulled_whole(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    paths = split(d, "m-Q8_0", 3, type="q8_0")
    files = {"sub/" + os.path.basename(p): content_of(p) for p in paths}
    b, size, names = Box(s, files), sum(c.size for c in files.values()), list(files)
    got = b.pull(REPO + ":Q8_0")
    same([got["parts"], got["bytes"], got["moved"], len(b.blobs())], [3, size, size, 3])
    same(got["digest"], "sha256:" + hashlib.sha256("".join(f"sha256:{c.sha256}\n" for c in files.values()).encode()).hexdigest())
    shown = json.loads(b.run("show", REPO + ":Q8_0", "--json", code=0).stdout)
    same([shown["architecture"], shown["parts"], shown["bytes"], shown["quantisation"]], ["llama", 3, size, "Q8_0"])
    same(b.pull(REPO + ":" + os.path.basename(names[1]))["moved"], 0, "any part names the whole")
    b.run("rm", REPO + ":Q8_0", code=0)
    same(len(b.blobs()), 3, "another name leads to them")
    b.run("rm", REPO + ":" + os.path.basename(names[1]), code=0)
    same(b.blobs(), [])
    taken = files.pop(names[1])
    b.refuses(5, ["part 2 of 3", "incomplete"])
    files[names[1]] = content_of(split(d, "other", 3, type="q8_0", seed=5)[2])  # a part that is not what its name says
    b.refuses(8, "part")
    files[names[1]] = taken
    alien = content_of(split(d, "alien", 3, label="alien")[0])
    files[names[0]] = alien
    b.refuses(8, 'the architecture "alien"')


@test
def a_split_model_is_served(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    b = Box(s, {os.path.basename(p): content_of(p) for p in split(d, "m", 2)})
    b.pull(REPO, "--name", "m")
    got = b.run("run", "m", "a", "--local", "--max-tokens", "3", "--temperature", "0", code=0).stdout
    d2 = s.enter_context(tempfile.TemporaryDirectory())
    whole = os.path.join(d2, "whole.gguf")
    subprocess.run([os.path.join(os.environ.get("OUT", "build"), "tool/tinymodel"), whole], check=True)
    b.run("add", whole, "--name", "w", code=0)
    same(b.run("run", "w", "a", "--local", "--max-tokens", "3", "--temperature", "0", code=0).stdout, got, "the same model in one file")


@test
def names(s):
    b = Box(s)
    b.pull()
    b.hub.repos["other/m"] = {"m.gguf": Content(GUIDE + b"x")}
    asked = b.hub.bytes_asked()
    b.refuses(6, "belongs to another file", "other/m", "--name", REPO, empty=False)
    same(b.hub.bytes_asked(), asked, "told before anything moves")
    b.pull("other/m", "--name", REPO, "--replace")
    b.hub.repos["other/m"] = {"m.gguf": Content(GUIDE + b"y")}
    got = b.pull("other/m", "--name", REPO)
    same([got["new"], got["moved"]], [True, len(GUIDE) + 1], "the hub moved on, and the name with it")
    b.refuses(2, "name", REPO, "--name", "../x", empty=False)
    b.refuses(2, "name", REPO, "--name", "x" * 200, empty=False)
