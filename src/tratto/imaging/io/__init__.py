"""Reading and writing pictures: native samples, all metadata, and no trust in the file.

Reading tells the format by the first bytes, checks the header against :class:`Limits` before it decodes, and turns
every failure into an :class:`~tratto.core.errors.InputError`. Writing is atomic and brings back what the format can
carry. The decoding libraries are loaded when they are first needed.
"""

from tratto.core.files import atomic_file
from tratto.imaging.io.carried import not_carried, notes_of
from tratto.imaging.io.convert import (
    expand_palette,
    image_from_array,
    image_from_pil,
    to_eight_bits,
    to_palette,
)
from tratto.imaging.io.digest import digest
from tratto.imaging.io.limits import Limits
from tratto.imaging.io.orient import oriented, unoriented
from tratto.imaging.io.part import interrupted, part_folder
from tratto.imaging.io.png_write import encode_png16_gray
from tratto.imaging.io.read import count_pages, read_image, without_private
from tratto.imaging.io.sniff import FORMATS, sniff
from tratto.imaging.io.write import WriteOptions, writable, write_image, write_pages

__all__ = [
    "FORMATS",
    "Limits",
    "WriteOptions",
    "atomic_file",
    "count_pages",
    "digest",
    "encode_png16_gray",
    "expand_palette",
    "image_from_array",
    "image_from_pil",
    "interrupted",
    "not_carried",
    "notes_of",
    "oriented",
    "part_folder",
    "read_image",
    "sniff",
    "to_eight_bits",
    "to_palette",
    "unoriented",
    "without_private",
    "writable",
    "write_image",
    "write_pages",
]
