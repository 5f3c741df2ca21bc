"""Vietnamese syllables as they are folded for search, by how they are built: a beginning and a rhyme.

More than the language uses, and all that it does, with the -ak of Đắk Lắk: about three thousand, whatever
anybody writes.
Pure: nothing is read here.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from typing import Final

__all__ = ["syllables_beginning"]

#: Besides none.
_BEGINNINGS: Final = "b c ch d g gh gi h k kh l m n ng ngh nh p ph qu r s t th tr v x"
_RHYMES: Final = """
    a ac ach ai ak am an ang anh ao ap at au ay
    e ec ech em en eng enh eo ep et eu
    i ia ic ich iec iem ien ieng iep iet ieu im in inh ip it iu
    o oa oac oach oai oam oan oang oanh oao oap oat oay oc oe oem oen oeo oet oi om on ong ooc oong op ot
    u ua uan uang uat uau uay uc ue uech uen uenh uet ui um un ung uo uoc uoi uom uon uong uop uot uou up
    ut uu uy uya uych uyen uyet uyn uynh uyp uyt uyu
    y ya ych yem yen yeng yet yeu ynh yt
"""


def syllables_beginning(letters: str) -> list[str]:
    """Those that begin with these letters, in order; some hundred for the most frequent two."""
    every = _every()
    return every[bisect_left(every, letters) : bisect_left(every, letters + "\U0010ffff")]


@cache
def _every() -> list[str]:
    return sorted(
        {beginning + rhyme for beginning in ["", *_BEGINNINGS.split()] for rhyme in _RHYMES.split()}
    )
