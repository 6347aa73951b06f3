"""Tars made field by field, including tars that no program writes and tars that few programs read."""

import random

from headrace.shards.tar import BLOCK

Record = tuple[bytes, bytes]
END = bytes(2 * BLOCK)
GNU_MAGIC, POSIX_MAGIC, NO_MAGIC = b"ustar  \0", b"ustar\x0000", bytes(8)
NAMES = (
    b"ant/1.jpg",
    b"ant/2.jpg",
    b"./ant/1.jpg",
    b"ant//2.jpg",
    b"/cat/1.jpg",
    b"cat/2.jpg",
    "k\u00f6ln/1.jpg".encode(),
    b"k\xf6ln/1.jpg",
    b"k\xe4ln/1.jpg",
    b"dog/" + b"n" * 90,
    b"d" * 120 + b"/1.jpg",
    b"d/" * 70 + b"1.jpg",
)


def octal(value: int, width: int = 12) -> bytes:
    """Octal digits and a NUL, as most programs write numbers."""
    return b"%0*o\0" % (width - 1, value)


def binary(value: int) -> bytes:
    """A number in base 256, as GNU tar writes large numbers."""
    return b"\x80" + value.to_bytes(11)


SIZES = (
    octal,
    binary,
    lambda size: b"%11o " % size,
    lambda size: b"%012o" % size,
    lambda size: b"%o\0 junk" % size,
    lambda size: b"  %o  " % size,
    lambda size: b"%o" % size,
)


def header(
    name: bytes,
    size: bytes,
    kind: bytes = b"0",
    *,
    target: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = POSIX_MAGIC,
    more: tuple[tuple[int, bytes], ...] = (),
    signed: bool = False,
) -> bytes:
    """A header of these fields, `more` at the bytes that it names; its checksum, of `signed` bytes or not, is right."""
    block = bytearray(BLOCK)
    fields = (
        (0, name[:100]),
        (100, b"0000644\0" + b"0000000\0" * 2),
        (124, size[:12]),
        (136, b"00000000000\0"),
        (148, b" " * 8),
        (156, kind),
        (157, target[:100]),
        (257, magic),
        (345, prefix),
        *more,
    )
    for at, value in fields:
        block[at : at + len(value)] = value
    total = sum(byte - 256 * (signed and byte > 127) for byte in block)
    block[148:156] = b"%06o\0 " % total if total >= 0 else b"%07o\0" % (8**7 + total)
    return bytes(block)


def padded(content: bytes) -> bytes:
    """The content padded to a whole block."""
    return content + bytes(-len(content) % BLOCK)


def member(name: bytes, content: bytes, kind: bytes = b"0", **fields: object) -> bytes:
    """A header and its content."""
    return header(name, octal(len(content)), kind, **fields) + padded(content)  # type: ignore[arg-type]


def record(key: bytes, value: bytes) -> bytes:
    """A line of a PAX header with its length."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(*records: Record, kind: bytes = b"x") -> bytes:
    """A PAX header."""
    return member(b"PaxHeader/x", b"".join(record(*one) for one in records), kind)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """A GNU header with the long name of the following member."""
    return member(b"././@LongLink", name + b"\0", kind, magic=GNU_MAGIC)


def old_sparse(name: bytes, chance: random.Random, *, extended: bool) -> bytes:
    """A sparse file in GNU's old form; with `extended` its map continues in a block of its own."""
    hole = octal(BLOCK) * 2
    empty = octal(0) * 2
    fields = (
        (386, (empty * 4) if extended else hole),
        (482, bytes([extended])),
        (483, octal(2 * BLOCK)),
    )
    more = padded(hole) if extended else b""
    return header(name, octal(BLOCK), b"S", magic=GNU_MAGIC, more=fields) + more + chance.randbytes(BLOCK)


def pax_sparse(name: bytes, chance: random.Random, form: str) -> bytes:
    """A sparse file in one of the three PAX forms."""
    data, sizes = chance.randbytes(BLOCK), ((b"GNU.sparse.size", b"1024"), (b"GNU.sparse.numblocks", b"1"))
    if form == "0.0":
        spots = ((b"GNU.sparse.offset", b"512"), (b"GNU.sparse.numbytes", b"512"))
        return pax(*sizes, *spots) + member(name, data)
    if form == "0.1":
        told = ((b"GNU.sparse.name", name), (b"GNU.sparse.map", b"512,512"))
        return pax(*sizes, *told) + member(b"GNUSparseFile.0/x", data)
    version = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    told = ((b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"1024"))
    return pax(*version, *told) + member(b"GNUSparseFile.0/x", padded(b"1\n512\n512\n") + data)


def _regular(name: bytes, chance: random.Random) -> bytes:
    """A regular file with one of the types for it, and its size and name in one of their forms."""
    content = chance.randbytes(chance.choice((0, 1, 511, 512, 513, 1300)))
    kind = chance.choice((b"0", b"0", b"\0", b"7", b"N", b"q", b"8"))
    size, magic = chance.choice(SIZES)(len(content)), chance.choice((POSIX_MAGIC, GNU_MAGIC, NO_MAGIC))
    plain = header(name, size, kind, magic=magic, signed=chance.random() < 0.2) + padded(content)
    folder, _, last = name.rpartition(b"/")
    form = chance.randrange(7 if len(name) <= 100 else 4)
    if form == 0:
        return long_name(name) + plain
    if form == 1:
        return pax((b"path", name), (b"mtime", b"1.5")) + plain
    if form == 2:
        charset = (b"hdrcharset", chance.choice((b"BINARY", b"ISO-IR 10646 2000 UTF-8")))
        size_of = (b"size", b"0" * chance.choice((0, 30)) + b"%d" % len(content))
        return pax(charset, (b"path", name), size_of) + header(b"x", octal(0), kind) + padded(content)
    if form == 3 and len(folder) <= 155 and len(last) <= 100 and folder:
        return header(last, size, kind, prefix=folder) + padded(content)
    return plain if len(name) <= 100 else long_name(name) + plain


def _odd(name: bytes, chance: random.Random, earlier: list[bytes]) -> bytes:
    """A member that is not a plain file, or whose headers contradict each other."""
    short, other = chance.choice([one for one in NAMES if len(one) <= 100]), chance.choice([*earlier, *earlier, name])
    wrong = octal(chance.choice((0, 3, 700)))
    few = [
        (b"mtime", b"9" * 30),
        (b"size", b"9" * 5000),
        (b"size", b"-512"),
        (b"size", b"3.5"),
        (b"path", b""),
        (b"x", b""),
    ]
    choices = (
        lambda: header(short, wrong, b"1", target=other),
        lambda: long_name(other, b"K") + header(short, wrong, b"1", target=other),
        lambda: pax((b"linkpath", other), (b"size", b"600")) + header(short, wrong, b"1", target=b"x"),
        lambda: header(short, wrong, b"2", target=b"nowhere"),
        lambda: header(short.rpartition(b"/")[0] + b"/more/", wrong, b"5"),
        lambda: old_sparse(short, chance, extended=False),
        lambda: old_sparse(short, chance, extended=True),
        lambda: pax_sparse(short, chance, chance.choice(("0.0", "0.1", "1.0"))),
        lambda: pax((b"comment", b"all"), kind=b"g"),
        lambda: pax((b"path", b"all/one.jpg"), kind=b"g"),
        lambda: pax((b"size", b"3"), kind=b"g") + header(short, octal(0)) + padded(b"abc"),
        lambda: pax((b"linkpath", other), kind=b"g"),
        lambda: pax(chance.choice(few)) + member(short, b"abc"),
        lambda: member(b"x", b"12 path=short\n", b"x") + member(short, b"abc"),
        lambda: header(short, chance.choice((b"-0000000003\0", b"\xff" * 12, b"\x81" + bytes(10) + b"\3", b"0x3\0"))),
        lambda: pax((b"path", other)) + long_name(name) + member(b"x", b"abc"),
        lambda: member(short + b".folder/", b"dumped", b"D"),
    )
    return chance.choice(choices)()


def archive(seed: int) -> bytes:
    """A tar of one to seven members, some of them odd."""
    chance = random.Random(seed)
    parts: list[bytes] = []
    names: list[bytes] = []
    for _ in range(chance.randint(1, 7)):
        name = chance.choice(NAMES)
        parts.append(_odd(name, chance, names) if chance.random() < 0.3 else _regular(name, chance))
        names.append(name)
    return b"".join(parts) + END


LIMITS = {  # values at the ends of what a field can hold, by the field's first byte
    0: (bytes(100), b"a" * 100, b"\xff" * 100, b"/" + bytes(99)),
    124: (
        b"7" * 11 + b"\0",
        b"7" * 12,
        binary(2**63),
        binary(2**88 - 1),
        b"\xff" * 12,
        octal(0),
        octal(511),
        b"8" + bytes(11),
    ),
    157: (bytes(100), b"b" * 100, b"\xff" * 100),
    257: (POSIX_MAGIC, GNU_MAGIC, NO_MAGIC, b"ustar\xff\xff\xff"),
    345: (bytes(155), b"c" * 155, b"\xff" * 155),
}


def spoilt(seed: int) -> bytes:
    """A tar with one to three faults: a field at its limit, flipped bits, or blocks lost, zeroed or doubled."""
    chance, data = random.Random(-seed - 1), bytearray(archive(seed))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) // BLOCK) * BLOCK
        kind = chance.randrange(6)
        if kind == 0:
            data[at + chance.randrange(BLOCK)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + BLOCK] = bytes(BLOCK)
        elif kind == 2:
            data[at:at] = data[at : at + BLOCK]
        elif kind == 3 and len(data) > 4 * BLOCK:
            del data[at : at + BLOCK]
        elif kind == 4 and len(data) > 4 * BLOCK:
            del data[at + chance.randrange(BLOCK) :]
            data += bytes(-len(data) % BLOCK)
        else:
            to_limit(data, chance)
    return bytes(data)


def to_limit(data: bytearray, chance: random.Random) -> None:
    """Set a field of one of the headers to a limit, with a matching checksum."""
    headers = [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]
    if headers:
        at, field = chance.choice(headers), chance.choice(list(LIMITS))
        value = chance.choice(LIMITS[field])
        data[at + field : at + field + len(value)] = value
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + BLOCK])
