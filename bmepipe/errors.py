"""One exception class per refusal that a user can cause.

Every message is one line with three parts: what was expected, what came, what to do. Programming
errors are not in this family: they are never caught, except by a batch that records them.
"""


class BmepipeError(Exception):
    """A refusal, in the user's words: expected, came, what to do."""

    def __init__(self, expected: str, came: str, remedy: str) -> None:
        self.expected, self.came, self.remedy = expected, came, remedy
        super().__init__(expected, came, remedy)

    def __str__(self) -> str:
        return f"expected {self.expected}; got {self.came}; {self.remedy}"


class StudyNotFound(BmepipeError):
    """The study's folder, zip or DICOMDIR is missing, empty or holds nothing readable."""


class NoMrSeries(BmepipeError):
    """Files were read, but none of them is a magnetic resonance image."""


class SeveralStudies(BmepipeError):
    """More than one study or patient lies in one folder and none was chosen."""


class NoUsablePair(BmepipeError):
    """No series, or no fat-suppressed series, can be analysed."""


class SeriesNotFound(BmepipeError):
    """The series that the user named is not in the study."""


class IrregularSeries(BmepipeError):
    """The slices of a series do not make one regular volume."""


class TooFewSlices(BmepipeError):
    """A series has too few slices to be a volume."""


class UnreadablePixels(BmepipeError):
    """The pixels of a series cannot be decoded, or do not match their header."""


class UnknownOrientation(BmepipeError):
    """An image does not say how it lies in the patient."""


class UntrustedFile(BmepipeError):
    """A file or archive asks for something unsafe: a path outside, a bomb, a forged size."""


class GridMismatch(BmepipeError):
    """Two images that must share a grid, or must overlap, do not."""


class ImplausibleImage(BmepipeError):
    """An image is constant, not finite, or contradicts the role it was given."""


class UnknownLabels(BmepipeError):
    """A label map holds labels that the site does not know."""


class UnknownChoice(BmepipeError):
    """A name is not among the known ones: a site, detector, writer, confounder or setting."""


class BadSettings(BmepipeError):
    """A settings file or option has a value that cannot be used."""


class OutputExists(BmepipeError):
    """The output folder exists and holds something that is not an earlier result."""


class NoBonesFound(BmepipeError):
    """The bone model found no bone that it knows, or clearly another site."""


class ModelDamaged(BmepipeError):
    """A model folder is missing, incomplete, or its weights do not match their sha256."""


class WriterFailed(BmepipeError):
    """One or more outputs could not be written; the others are there."""


def unknown_choice(kind: str, came: str, known: object) -> UnknownChoice:
    """Return the refusal of a name that is not in `known`, listing the known ones.

    >>> str(unknown_choice("site", "elbow", ["hip", "knee"]))
    "expected a site among hip, knee; got 'elbow'; choose one of these"
    """
    names = ", ".join(sorted(str(name) for name in known))  # type: ignore[attr-defined]
    return UnknownChoice(f"a {kind} among {names}", repr(came), "choose one of these")
