"""A registry that another implementation wrote: python-tuf, the reference of The Update Framework.

`python registry.py` writes registry.json beside it (pip install tuf cryptography). `python registry.py check FOLDER` reads a coordinator's
folder with python-tuf, and says whether what Sordino has signed is what the framework asks for.
"""

import hashlib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp,
)

HERE = Path(__file__).parent
EXPIRES = datetime(2040, 1, 1, tzinfo=timezone.utc)


def signer(number):
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


def meta(bytes_, version):
    return MetaFile(version, len(bytes_), {"sha256": hashlib.sha256(bytes_).hexdigest()})


def target(path, bytes_, custom=None):
    unrecognized = {"custom": custom} if custom is not None else {}
    return TargetFile(len(bytes_), {"sha256": hashlib.sha256(bytes_).hexdigest()}, path, unrecognized)


def write():
    people, online = [signer(n) for n in (1, 2, 3)], signer(9)
    files = {}

    def signed(name, value, signers):
        value = Metadata(value)
        for one in signers:
            value.sign(one, append=True)
        files[name] = value.to_bytes().decode()
        return files[name].encode()

    root = Root(version=1, expires=EXPIRES, consistent_snapshot=True)
    for role in ("root", "targets"):
        for person in people:
            root.add_key(person.public_key, role)
        root.roles[role].threshold = 2
    for role in ("snapshot", "timestamp"):
        root.add_key(online.public_key, role)
    signed("root", root, people[:2])

    role = DelegatedRole("rollout", [], 1, True, paths=["serving.json"])
    targets = Targets(version=4, expires=EXPIRES, delegations=Delegations({}, {"rollout": role}))
    targets.add_key(online.public_key, "rollout")
    model = b"the model's bytes"
    info = {
        "release_counter": 5, "version": 2, "parent": 1, "task": "embeddings \"and\" \\more\\", "train_round": 7, "min_runtime": 1,
        "dp_epsilon": "4.0", "dp_delta": "0.000001", "plan": None, "card": None, "probes": [{"history": [1, 3], "best": 2}],
    }
    targets.targets["models/5"] = target("models/5", model, info)
    targets_bytes = signed("targets", targets, people[1:])

    serving = json.dumps({"mode": "good", "good": 5, "before": None, "candidate": None, "holdback": None, "pins": []}).encode()
    files["serving"] = serving.decode()
    rollout = Targets(version=11, expires=EXPIRES, targets={"serving.json": target("serving.json", serving)})
    rollout_bytes = signed("rollout", rollout, [online])
    listed = {"targets.json": meta(targets_bytes, 4), "rollout.json": meta(rollout_bytes, 11)}
    snapshot_bytes = signed("snapshot", Snapshot(version=8, expires=EXPIRES, meta=listed), [online])
    signed("timestamp", Timestamp(version=9, expires=EXPIRES, snapshot_meta=meta(snapshot_bytes, 8)), [online])
    (HERE / "registry.json").write_text(json.dumps(files, indent=1, ensure_ascii=False) + "\n")


def check(folder):
    """The files of a coordinator's registry, by python-tuf's own rules."""
    from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
    from tuf.ngclient.config import EnvelopeType

    registry, models = folder / "registry", folder / "models"
    stored = json.loads((registry / "online.json").read_text())
    # serving, rollout, snapshot, targets, timestamp: as the server keeps them, by their hashes.
    serving, rollout, snapshot, targets, timestamp = [(models / name).read_bytes() for name in stored["files"][0]]
    trusted = TrustedMetadataSet((registry / "root.1.json").read_bytes(), EnvelopeType.METADATA)
    number = 2
    while (registry / f"root.{number}.json").exists():
        trusted.update_root((registry / f"root.{number}.json").read_bytes())
        number += 1
    trusted.update_timestamp(timestamp)
    trusted.update_snapshot(snapshot)
    trusted.update_targets(targets)
    trusted.update_delegated_targets(rollout, "rollout", "targets")
    trusted["rollout"].targets["serving.json"].verify_length_and_hashes(serving)
    versions = sorted(trusted.targets.targets)
    for path in versions:
        of = trusted.targets.targets[path]
        of.verify_length_and_hashes((models / of.hashes["sha256"]).read_bytes())
    print("python-tuf believes it:", ", ".join(versions), "|", serving.decode())


if __name__ == "__main__":
    check(Path(sys.argv[2])) if sys.argv[1:2] == ["check"] else write()
