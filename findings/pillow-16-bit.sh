#!/usr/bin/env bash
# Pillow 12.1.0: which half of a 16-bit number survives depends on whether the picture is grey or in colour.
#
# A 16-bit grey PNG opens in mode I;16, and `convert("RGB")` (what torchvision's and most other loaders call) clips at
# 255: nearly every picture comes out white. A 16-bit RGB PNG opens in mode RGB with the upper byte of each number, so
# the same greys come out right. Both are valid PNG, and neither says anything.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==12.1.0 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import zlib

from PIL import Image


def png(colour, numbers):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(f">{len(numbers)}H", *numbers)
    width = len(numbers) // (3 if colour == 2 else 1)
    head = struct.pack(">IIBBBBB", width, 1, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")


greys = [0, 100, 300, 32768, 65535]
grey = Image.open(io.BytesIO(png(0, greys)))
colour = Image.open(io.BytesIO(png(2, [g for g in greys for _ in range(3)])))
one = [grey.convert("RGB").getpixel((i, 0))[0] for i in range(5)]
two = [colour.convert("RGB").getpixel((i, 0))[0] for i in range(5)]
print(f"{greys}: grey ({grey.mode}) {one}, colour ({colour.mode}) {two}")
assert grey.mode == "I;16" and one == [0, 100, 255, 255, 255], "16-bit greys are no longer clipped"
assert colour.mode == "RGB" and two == [0, 0, 1, 128, 255]
PYTHON
# Output seen:
# [0, 100, 300, 32768, 65535]: grey (I;16) [0, 100, 255, 255, 255], colour (RGB) [0, 0, 1, 128, 255]
