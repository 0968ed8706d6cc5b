"""Which regular expressions mean the same to Oniguruma and to the `regex` package.

Hugging Face's `tokenizers` cuts text by Oniguruma, we by `regex`, and they read many expressions otherwise:
`^` and `$` stand at each line there, `\\h` is a hexadecimal digit, `&&` in a class an intersection. What is
accepted here is made only of what both read alike, up to the version of Unicode. The rest may or may not be
the same; nothing here decides that.
"""

from __future__ import annotations

import re

from hornbook.tokenizer.pretokenize import PATTERNS

CASELESS = {r"(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"(?i:[sdmt]|ll|ve|re)"}
"""The groups without case; in others a letter may stand for two of another text, as in (?i:ss)."""
CATEGORY = "C[cfnos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?"
ESCAPE = rf"\\(?:[sSdDrnt]|[pP]\{{(?:{CATEGORY})\}}|[.^$*+?{{}}\[\]()|\\/&~#-])"
# In a class, a sign that is doubled or bare may be an operator; a range is between two plain characters.
LETTER = r"[^\\\[\]^&|~\-\ud800-\udfff]"
CLASS = rf"\[\^?(?:{LETTER}-{LETTER}|{LETTER}|{ESCAPE})+\]"
PLAIN = r"[^\\.^$*+?{}\[\]()|\ud800-\udfff]"
PIECE = re.compile(
    rf"(?P<item>{ESCAPE}|{CLASS}|{PLAIN}|{'|'.join(map(re.escape, sorted(CASELESS)))})"
    r"|(?P<open>\(\?[:!=])|(?P<close>\))|(?P<or>\|)|(?P<bad>[\s\S])"
)
QUANTIFIER = re.compile(r"[?*+]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\}")


def is_portable(expression: str) -> bool:
    """Whether an expression is a published one, or is made of what both libraries read alike."""
    if expression in PATTERNS.values():
        return True
    # One entry for each open group: how it began, and whether its branches can match nothing.
    groups: list[tuple[str, list[bool]]] = [("", [True])]
    place = 0
    while place < len(expression):
        piece = PIECE.match(expression, place)
        if piece is None or piece["bad"]:
            return False
        place = piece.end()
        if piece["open"]:
            groups.append((piece["open"], [True]))
            continue
        if piece["or"]:
            groups[-1][1].append(True)
            continue
        begun, empty = "", False
        if piece["close"]:
            if len(groups) == 1:
                return False
            begun, branches = groups.pop()
            empty = begun != "(?:" or any(branches)
        if quantifier := QUANTIFIER.match(expression, place):
            # What repeats nothing, or is repeated twice over, is read in several ways.
            if empty or QUANTIFIER.match(expression, quantifier.end()):
                return False
            place = quantifier.end()
            empty = quantifier[0][0] in "?*" or re.match(r"\{0+\b", quantifier[0]) is not None
        if not empty:
            groups[-1][1][-1] = False
    # A match of nothing cuts, or not, by rules of each library's own.
    return len(groups) == 1 and not any(groups[0][1])
