"""The ledger: an append-only list of seals that nobody can change, shorten or fork unnoticed.

Its public side are the files of :mod:`.tiles`. Beside them lies ``journal``, the writer's own: every append goes there
first, as one frame with the new entries and the checkpoint over them, and is flushed to the disk before it is
acknowledged. One flush covers the whole batch. Tiles and ``checkpoint`` follow from the journal and are made again from
it where a power cut took them. Whole tiles are flushed before the journal that holds their entries is replaced.
"""

from tratto.ledger.checking import check
from tratto.ledger.journal import read_frames
from tratto.ledger.log import Ledger
from tratto.ledger.state import LEAF_SCHEMA, leaf

__all__ = ["LEAF_SCHEMA", "Ledger", "check", "leaf", "read_frames"]
