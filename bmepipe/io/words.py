"""Words and tokens by which series are known: what people and scanners write into headers."""

from __future__ import annotations

import re

FS_TOKENS = {"FS", "SFS", "WE", "FATSAT", "SPIR", "SPAIR"}
FS_NAMES = re.compile(
    r"\b(fs|fsat|fat ?sat(?:urated|uration)?|fat ?sup(?:p|pressed|pression)?|spair|spir|aspir|"
    r"stir|tirm|sting|we|wex|proset|water(?: ?exc\w*)?|chem ?sat|special|fatsup|dw ?fs|"
    r"(?:t1|t2|pd|pdw|dp|t2w|t1w)fs)\b"
)
NOT_FS = re.compile(
    r"\b(?:non?|not|without|w ?o|ohne|sans|sin|senza|sem)\s?(?:fs|fat ?sat|fat ?sup\w*|fatsat)\b"
)
STIR_NAMES = re.compile(r"\b(stir|tirm|turboirm|ir tse|irfse|fir)\b")
FLAIR = re.compile(r"\b(flair|dark ?fluid|df)\b")
PD_NAMES = re.compile(r"\b(pd|pdw|dp|rho|proton|dens\w*|pdfs|int(?:ermediate)?|iw)\b")
T1_NAMES = re.compile(r"\b(t1|t1w|t1fs|t1wi)\b")
T2_NAMES = re.compile(r"\b(t2|t2w|t2fs|t2wi)\b")
LOCALIZER = re.compile(
    r"\b(loc|localizer|localiser|localizador|scout|survey|pilot|3 ?plane?s?|aahead|aaspine|"
    r"aaknee|scanogram|topogram|smartbrain|smartexam|rep(?:e|é)rage|"
    r"calibration|asset cal|ref ?scan)\b"
)
CONTRAST = re.compile(
    r"(?:\b(gd|gado\w*|post ?(?:contrast|gd|gad|iv|inj\w*|km)|postcontrast|contrast|ce|km|"
    r"kontrast\w*|dotarem|gadovist|injected)\b|(?<!\w)\+ ?c\b|\bc ?\+)"
)
NO_CONTRAST = re.compile(
    r"\b(?:no|non|without|w ?o|pre|sans|ohne|sin|nativ\w*|before)\b(?: ?(?:iv|gd|contrast|km))?"
)
DERIVED_TOKENS = {
    "ADC", "FA", "TRACEW", "MIP", "MPR", "MIN IP", "MINIP", "SUB", "SUBTRACTION", "T1 MAP",
    "T2 MAP", "T2_STAR MAP", "T2MAP", "B0 MAP", "B0", "FIELD_MAP", "PHASE MAP", "R2_STAR MAP",
    "PROJECTION IMAGE", "CSA MPR", "CSAPARALLEL", "CURVED", "REFORMATTED", "COLOR FA", "MEAN",
}  # fmt: skip
DERIVED_NAMES = re.compile(
    r"\b(mip|mpr|subtraction|sub|adc|t1 ?map\w*|t2 ?map\w*|b0 ?map|reformat\w*|screen ?save|"
    r"report|key ?images?)\b"
)
DIFFUSION = re.compile(r"\b(dwi|dti|diff\w*|ep2d|epi|resolve|adc|trace\w*)\b")
# Hitachi writes "off".
NO_AGENT = {
    "",
    "-",
    "0",
    "FALSE",
    "N",
    "NIL",
    "NO",
    "NONE",
    "NO CONTRAST",
    "OFF",
    "OHNE",
    "WITHOUT",
}


def words_of(text: str) -> str:
    """Return free text in lower case with separators as spaces, for whole-word tests.

    >>> words_of("t2_de3d_WE-tra.")
    't2 de3d we tra'
    """
    return re.sub(r"[\s_\-.^/\\,;:()\[\]*=&]+", " ", text.lower()).strip()
