"""Delta logs written by hand, as other engines write them: protocol, deletion vectors, checkpoints."""

from __future__ import annotations

import json
import struct
import uuid
import zlib

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def entry(table, number):
    return table / "_delta_log" / f"{number:020}.json"


def actions(table, number):
    return [json.loads(line) for line in entry(table, number).read_text().splitlines()]


def commit(table, number, found):
    entry(table, number).write_text("\n".join(map(json.dumps, found)) + "\n")


def protocol(*features):
    found = {"minReaderVersion": 3, "minWriterVersion": 7}
    return {"protocol": found | {"readerFeatures": list(features), "writerFeatures": list(features)}}


def added(table, number=0):
    return next(a["add"] for a in actions(table, number) if "add" in a)


def removed(add):
    return {"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True, "size": add["size"]}}


def bitmap(rows):
    """Return a RoaringBitmapArray in the portable form: one container of sorted 16-bit numbers."""
    array = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + b"".join(struct.pack("<H", r) for r in sorted(rows))
    return struct.pack("<iQI", 1681511377, 1, 0) + array


def z85(data):
    data += b"\0" * (-len(data) % 4)
    text = ""
    for k in range(0, len(data), 4):
        value, five = int.from_bytes(data[k : k + 4], "big"), ""
        for _ in range(5):
            value, five = value // 85, Z85[value % 85] + five
        text += five
    return text


def vector(table, rows, kind="i"):
    """Return a deletion vector: inline ("i"), in a file of the table ("u"), or in one named by its whole path ("p")."""
    data = bitmap(rows)
    found = {"storageType": kind, "sizeInBytes": len(data), "cardinality": len(rows)}
    if kind == "i":
        return found | {"pathOrInlineDv": z85(data)}
    name = uuid.uuid4()
    path = table / f"deletion_vector_{name}.bin"
    path.write_bytes(b"\x01" + struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data)))
    return found | {"offset": 1, "pathOrInlineDv": z85(name.bytes) if kind == "u" else path.as_uri()}


def delete_by_vector(table, number, rows, kind="i"):
    """Commit a DELETE as an engine with deletion vectors does: the same file, removed and added again with a vector."""
    add = added(table)
    again = {"add": add | {"deletionVector": vector(table, rows, kind)}}
    info = {"commitInfo": {"timestamp": number, "operation": "DELETE", "operationParameters": {}}}
    commit(table, number, [info, protocol("deletionVectors"), removed(add), again])
