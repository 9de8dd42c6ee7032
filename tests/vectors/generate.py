"""Writes the test vectors of the protocol: a second implementation, in a language where nothing is shared with the first.

    pip install cryptography && python3 tests/vectors/generate.py

It follows docs/protocol.md alone. `shared/src/secagg/tests/vectors.rs` holds the library against what it writes.
"""

import hashlib
import json
import pathlib
import struct
from math import comb

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).parent
ORDER = 2**252 + 27742317777372353535851937790883648493


# Section 1: fields, hashes, context.


def u32(number):
    return struct.pack("<I", number)


def transcript(purpose, *fields):
    return b"".join(u32(len(f)) + f for f in (b"sordino-secagg/1", purpose.encode(), *fields))


def sha(data):
    return hashlib.sha256(data).digest()


def plan_digest(plan):
    fields = [plan["mode"].encode(), plan["mechanism"].encode(), struct.pack("<Q", plan["cohort"])]
    fields += [struct.pack("<Q", plan["honest"]), u32(plan["bits"])]
    for b in plan["blocks"]:
        fields += [b["name"].encode(), struct.pack("<Q", b["rows"]), struct.pack("<Q", b["width"])]
        fields += [struct.pack("<d", b["clip"]), struct.pack("<d", b["row_clip"])]
        fields += [bytes([b["rotation"]]), struct.pack("<Q", b["length"])]
        fields += [struct.pack("<Q", b["rotation_seed"]), struct.pack("<d", float.fromhex(b["grid"]))]
        fields += [struct.pack("<Q", b["bound_squared"]), struct.pack("<Q", b["local_variance"])]
    return sha(transcript("plan", *fields))


def context(task, round_number, plan, model, cohort, least, values, bits, sigma, gamma, delta):
    numbers = [u32(x) for x in (cohort, least, values, bits, sigma)]
    terms = sha(transcript("terms", plan, *numbers, struct.pack("<d", gamma), struct.pack("<d", delta)))
    return sha(transcript("context", task.encode(), struct.pack("<Q", round_number), terms, model))


# Section 2: keys.


def expand(secret, info):
    return HKDF(hashes.SHA256(), 32, None, info).derive(secret)


def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Identity:
    def __init__(self, seed):
        self.seed = sha(b"identity " + seed.encode())
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = raw(self.key.public_key())

    def sign(self, statement):
        return self.key.sign(statement)


def agree(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def x25519_public(secret):
    return raw(X25519PrivateKey.from_private_bytes(secret).public_key())


# Section 3: degree, threshold, ring. In whole numbers, so that nothing is rounded.


def finder(n, gamma_percent, delta_percent, sigma, curious):
    corrupt, gone = n * gamma_percent // 100, n * delta_percent // 100
    staying = -(-n * (100 - delta_percent) // 100)
    bad = corrupt + gone

    def masses(marked, k):
        first = max(0, k - (n - marked))
        result = [0] * first + [comb(marked, first) * comb(n - marked, k - first)]
        for x in range(first, k):
            result.append(result[-1] * (marked - x) * (k - x) // ((x + 1) * (n - marked - k + x + 1)))
        return result

    def falling(a, k):
        product = 1
        for i in range(k):
            product *= a - i
        return product

    for k in range(2, n - 1, 2):
        if k <= bad:
            # n (n-k-1) / 2 * bad falling k / n falling k < 2^-(sigma + 1)
            if not n * (n - k - 1) * falling(bad, k) * 2 ** (sigma + 1) < 2 * falling(n, k):
                continue
        total = comb(n, k)
        tail, most = 0, 0
        for t, mass in reversed(list(enumerate(masses(corrupt, k)))):
            tail += mass
            if tail * n * 2 ** (sigma + 1) > total:
                most = t
                break
        least = most if curious else -(-(4 * (most + k) - 5) // 8)
        cumulative, second = 0, k
        for t, mass in enumerate(masses(staying, k)):
            cumulative += mass
            if cumulative * n * 2**20 >= total:
                second = t
                break
        if second > least:
            return k, max(least + 1, 2)
    return None


def least_in_window(n, gamma_percent, sigma, k):
    corrupt, width = n * gamma_percent // 100, k // 2
    tail = 0
    for w in range(width, -1, -1):
        tail += comb(corrupt, w) * comb(n - corrupt, width - w)
        if tail * n * 2 ** (sigma + 1) > comb(n, width):
            return w + 1


def complete(n):
    k, colluders = n - 1, -(-n // 3) - 1
    return k, (k + colluders) // 2 + 1


class KeyStream:
    def __init__(self, key):
        self.encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def take(self, length):
        return self.encryptor.update(bytes(length))

    def below(self, bound):
        threshold = (2**64 - bound) % bound
        while True:
            product = struct.unpack("<Q", self.take(8))[0] * bound
            if product % 2**64 >= threshold:
                return product >> 64


def ring(n, seed):
    stream, places = KeyStream(expand(seed, transcript("ring"))), list(range(n))
    for last in range(n - 1, 0, -1):
        other = stream.below(last + 1)
        places[last], places[other] = places[other], places[last]
    return places


def neighbours(places, k, position):
    n, at = len(places), places.index(position)
    offsets = [slot + 1 if slot < k // 2 else n - k + slot for slot in range(k)]
    return [places[(at + offset) % n] for offset in offsets]


# Section 4: hash tree.


def leaf(data):
    return sha(b"\0" + data)


def levels(leaves):
    result = [leaves]
    while len(result[-1]) > 1:
        last = result[-1]
        pairs = [last[i : i + 2] for i in range(0, len(last), 2)]
        result.append([sha(b"\1" + p[0] + p[1]) if len(p) == 2 else p[0] for p in pairs])
    return result


def proof(tree, positions):
    needed, known = [], sorted(positions)
    for level in tree[:-1]:
        for place in known:
            sibling = place ^ 1
            if sibling not in known and sibling < len(level):
                needed.append(level[sibling])
        known = sorted({place // 2 for place in known})
    return needed


# Section 5: shares.


def scalar(data):
    return int.from_bytes(data, "little") % ORDER


def share(coefficients, slot):
    value = 0
    for c in reversed(coefficients):
        value = (value * (slot + 1) + c) % ORDER
    return value.to_bytes(32, "little")


# Section 6: masks.


def mask(key, values, bits):
    size, form = (2, "<H") if bits <= 16 else (4, "<I")
    stream = KeyStream(key).take(size * values)
    return [lane[0] % 2**bits for lane in struct.iter_unpack(form, stream)]


def pack(values, bits):
    number = sum((v % 2**bits) << (i * bits) for i, v in enumerate(values))
    return number.to_bytes(-(-len(values) * bits // 8), "little")


# Section 7: frames.

KINDS = ["offer", "advertisement", "roster", "shares", "delivery", "upload", "survivors", "agreement", "quorum", "answer"]


def varint(number):
    if number < 251:
        return bytes([number])
    if number < 2**16:
        return b"\xfb" + struct.pack("<H", number)
    if number < 2**32:
        return b"\xfc" + struct.pack("<I", number)
    return b"\xfd" + struct.pack("<Q", number)


def frame(kind, header, payload=b""):
    preamble = b"SRDN" + bytes([1, KINDS.index(kind) + 1, 0, 0]) + u32(len(header)) + u32(len(payload))
    return preamble + header + payload


def bits_of(places, length):
    data = bytearray(-(-length // 8))
    for place in places:
        data[place // 8] |= 1 << place % 8
    return bytes(data)


# A whole round of five devices, of which one drops out before its upload.

PLAN = {
    "mode": "secure",
    "mechanism": "discrete-gaussian",
    "cohort": 5,
    "honest": 3,
    "bits": 11,
    "blocks": [
        {
            "name": "rows", "rows": 6, "width": 2, "clip": 1.0, "row_clip": 0.25, "rotation": 0, "length": 12, "rotation_seed": 5,
            "grid": "0x1.d8f7208e6b82ep-5", "bound_squared": 322, "local_variance": 1074,
        },
        {
            "name": "gram", "rows": 5, "width": 1, "clip": 2.0, "row_clip": 2.0, "rotation": 1, "length": 8, "rotation_seed": 5,
            "grid": "0x1.21a1851ff630ap-3", "bound_squared": 217, "local_variance": 724,
        },
    ],
}


def draw(label, length):
    """The randomness of a device, as the vectors fix it."""
    return hashlib.shake_256(label.encode()).digest(length)


def whole_round(plan):
    n, gone, least, now = 5, 3, 3, 1000
    values, bits = sum(b["length"] for b in plan["blocks"]), plan["bits"]
    k, t = complete(n)
    authority, operator = Identity("authority"), Identity("operator")
    members = sorted((Identity(f"device {i}") for i in range(n)), key=lambda m: m.public)
    digest, model = plan_digest(plan), sha(b"model")
    sigma, gamma, delta = 64, 0.0, 0.0
    ctx = context("vectors", 7, digest, model, n, least, values, bits, sigma, gamma, delta)
    messages = {}

    signature = operator.sign(transcript("offer", ctx))
    header = varint(7) + b"vectors" + varint(7) + digest + model + varint(sigma)
    header += struct.pack("<d", gamma) + struct.pack("<d", delta) + signature
    messages["offer"] = frame("offer", header)

    randomness, seals, masks, r_s, r_b, entries = [], [], [], [], [], []
    for u, member in enumerate(members):
        first = draw(f"advertise {u}", 160)
        randomness.append({"advertise": first.hex()})
        seals.append(first[:32])
        r_s.append(scalar(first[32:96]))
        r_b.append(scalar(first[96:160]))
        masks.append(expand(r_s[u].to_bytes(32, "little"), transcript("x25519", ctx)))
        certificate = authority.sign(transcript("certificate", member.public, struct.pack("<q", now)))
        keys = x25519_public(seals[u]), x25519_public(masks[u])
        signed = member.sign(transcript("advertise", ctx, *keys))
        entries.append(member.public + struct.pack("<q", now) + certificate + keys[0] + keys[1] + signed)
    messages["advertisements"] = [frame("advertisement", ctx, e) for e in entries]

    tree = levels([leaf(e) for e in entries])
    root = tree[-1][0]
    rho = sha(transcript("roster", ctx, u32(n), root))
    places = list(range(n))
    around = [neighbours(places, k, u) for u in range(n)]
    messages["rosters"] = [
        frame("roster", ctx + varint(n) + varint(u) + root + b"\0" + varint(n), b"".join(entries)) for u in range(n)
    ]

    def scoped(purpose, *fields):
        return transcript(purpose, ctx, rho, *fields)

    def commitment(dealer, slot, secret, value):
        return sha(scoped("commitment", u32(dealer), u32(slot), bytes([secret]), value))[:16]

    shares, dealt = [], []
    messages["shares"] = []
    for u, member in enumerate(members):
        coefficients = draw(f"share {u}", 128 * (t - 1))
        randomness[u]["share"] = coefficients.hex()
        drawn = [scalar(coefficients[64 * i : 64 * i + 64]) for i in range(2 * (t - 1))]
        polynomials = [r_s[u], *drawn[: t - 1]], [r_b[u], *drawn[t - 1 :]]
        shares.append([[share(p, slot) for p in polynomials] for slot in range(k)])
        deals = []
        for slot, v in enumerate(around[u]):
            key = expand(agree(seals[u], x25519_public(seals[v])), scoped("enc", u32(u), u32(v)))
            aad = scoped("shares", u32(u), u32(v))
            sealed = ChaCha20Poly1305(key).encrypt(bytes(12), b"".join(shares[u][slot]), aad)
            deals.append(sealed + commitment(u, slot, 2, shares[u][slot][0]) + commitment(u, slot, 1, shares[u][slot][1]))
        dealt.append(deals)
        seed_hash = sha(transcript("seed", ctx, r_b[u].to_bytes(32, "little")))
        signed = member.sign(scoped("share", u32(u), seed_hash, sha(b"".join(deals))))
        messages["shares"].append(frame("shares", ctx + varint(u) + seed_hash + signed, b"".join(deals)))

    messages["deliveries"] = []
    for u in range(n):
        incoming = b"".join(dealt[v][around[v].index(u)] for v in around[u])
        messages["deliveries"].append(frame("delivery", ctx + varint(k), bits_of(range(k), k) + incoming))

    vectors = [[(u - 2) * 30011 + 7 * i for i in range(values)] for u in range(n)]
    survivors = [u for u in range(n) if u != gone]
    messages["uploads"] = {}
    for u in survivors:
        total = [v % 2**bits for v in vectors[u]]
        own = mask(expand(r_b[u].to_bytes(32, "little"), transcript("self", ctx)), values, bits)
        total = [a + b for a, b in zip(total, own)]
        for v in around[u]:
            pair = [u32(min(u, v)), u32(max(u, v))]
            key = expand(agree(masks[u], x25519_public(masks[v])), scoped("mask", *pair))
            sign = 1 if v > u else -1
            total = [a + sign * b for a, b in zip(total, mask(key, values, bits))]
        packed = pack(total, bits)
        signed = members[u].sign(scoped("upload", u32(u), sha(packed)))
        messages["uploads"][str(u)] = frame("upload", ctx + varint(u) + signed, packed)

    bitmap = bits_of(survivors, n)
    messages["survivors"] = frame("survivors", ctx + varint(n), bitmap)
    agreed = sha(scoped("survivors", u32(n), bitmap))
    signed = {u: members[u].sign(scoped("agree", u32(u), agreed)) for u in survivors}
    messages["agreements"] = {str(u): frame("agreement", ctx + varint(u) + signed[u]) for u in survivors}
    messages["quorums"], messages["answers"] = {}, {}
    for u in survivors:
        gathered = [u32(slot) + signed[v] for slot, v in enumerate(around[u]) if v in survivors][:t]
        messages["quorums"][str(u)] = frame("quorum", ctx, b"".join(gathered))
        opened = b""
        for v in around[u]:
            secret = 1 if v in survivors else 2
            opened += bytes([secret]) + shares[v][around[v].index(u)][0 if secret == 2 else 1]
        statement = scoped("answer", u32(u), agreed, sha(opened))
        messages["answers"][str(u)] = frame("answer", ctx + varint(u) + members[u].sign(statement), opened)

    total = [sum(vectors[u][i] for u in survivors) % 2**bits for i in range(values)]
    return {
        "plan": plan,
        "plan_digest": digest.hex(),
        "model": model.hex(),
        "context": ctx.hex(),
        "roster": rho.hex(),
        "threshold": t,
        "authority": authority.seed.hex(),
        "operator": operator.seed.hex(),
        "devices": [m.seed.hex() for m in members],
        "now": now,
        "dropped": gone,
        "randomness": randomness,
        "vectors": vectors,
        "sum": total,
        **hexed(messages),
    }


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: hexed(v) for key, v in value.items()}
    if isinstance(value, list):
        return [hexed(v) for v in value]
    return value


def graph_vectors():
    shares = [(5, 5), (5, 10), (10, 10), (5, 20), (10, 20), (5, 30), (10, 30), (20, 20)]
    rows = []
    for sigma in (40, 64):
        for curious in (False, True):
            for n in (100, 200, 500, 1000, 5000, 10000):
                for gamma, delta in shares:
                    found = finder(n, gamma, delta, sigma, curious)
                    rows.append([n, gamma / 100, delta / 100, sigma, "curious" if curious else "semi-malicious", *found])
    windows = [[n, gamma / 100, sigma, k, least_in_window(n, gamma, sigma, k)]
               for n, gamma, sigma, k in ((300, 10, 64, 76), (1000, 0, 40, 60), (1000, 10, 64, 112), (10000, 20, 64, 562))]
    rings = []
    for n, k in ((9, 4), (300, 76), (1000, 112)):
        seed = sha(f"ring {n}".encode())
        places = ring(n, seed)
        rings.append({"devices": n, "degree": k, "seed": seed.hex(), "neighbours_of_0": neighbours(places, k, 0),
                      "neighbours_of_5": neighbours(places, k, 5)})
    return {"degrees": rows, "complete": [[n, *complete(n)] for n in (3, 4, 5, 8, 9, 10, 100, 255, 256)], "windows": windows, "rings": rings}


def primitive_vectors():
    key = sha(b"mask key")
    masks = [{"bits": b, "values": 11, "key": key.hex(), "residues": mask(key, 11, b)} for b in (5, 16, 17, 20, 24, 32)]
    packs = []
    for b in (1, 5, 12, 16, 17, 20, 24, 31, 32):
        values = [int.from_bytes(sha(bytes([b, i]))[:4], "little") % 2**b for i in range(11)]
        packs.append({"bits": b, "values": values, "packed": pack(values, b).hex()})
    trees = []
    for n in (1, 2, 3, 7, 10):
        tree = levels([leaf(bytes([i])) for i in range(n)])
        shown = [i for i in range(n) if i % 3 == 1] or [0]
        trees.append({"leaves": n, "root": tree[-1][0].hex(), "shown": shown, "proof": hexed(proof(tree, shown))})
    coefficients = [scalar(sha(bytes([i])) * 2) for i in range(4)]
    shares = {"coefficients": [c.to_bytes(32, "little").hex() for c in coefficients],
              "shares": [share(coefficients, slot).hex() for slot in range(7)]}
    ctx, rho, secret = sha(b"context"), sha(b"roster"), sha(b"secret")
    keys = {
        "context": ctx.hex(), "roster": rho.hex(), "secret": secret.hex(),
        "self": expand(secret, transcript("self", ctx)).hex(),
        "x25519": expand(secret, transcript("x25519", ctx)).hex(),
        "mask": expand(secret, transcript("mask", ctx, rho, u32(3), u32(9))).hex(),
        "enc": expand(secret, transcript("enc", ctx, rho, u32(9), u32(3))).hex(),
    }
    return {"masks": masks, "packing": packs, "trees": trees, "shamir": shares, "keys": keys}


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    write("graph.json", graph_vectors())
    write("primitives.json", primitive_vectors())
    write("round.json", whole_round(PLAN))
