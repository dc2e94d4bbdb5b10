"""Follows a TUF repository as python-tuf does: URL ROOT STATE TARGET. Prints the target's SHA-256."""
import hashlib
import pathlib
import sys

from tuf.ngclient import Updater

url, root, state, target = sys.argv[1:]
pathlib.Path(state).mkdir(exist_ok=True)
updater = Updater(
    state,
    f"{url}/metadata",
    state,
    f"{url}/targets",
    bootstrap=pathlib.Path(root).read_bytes(),
)
updater.refresh()
info = updater.get_targetinfo(target)
if info is None:
    sys.exit("no such target")
print(hashlib.sha256(pathlib.Path(updater.download_target(info)).read_bytes()).hexdigest())
