"""Every error semvec raises on purpose.

    SemvecError
    ├── InputError          a text, a row or a source that cannot be encoded      (ValueError)
    │   └── LabelRepeated       a label that was learnt before comes in a new task
    ├── OptionError         an option or a choice that does not exist or fit      (ValueError)
    │   ├── LevelError      a level this encoder cannot give
    │   └── MemoryTooLarge      a memory that holds more than there is to learn from
    ├── OverflowRefused     a text longer than the model, under overflow="error"  (ValueError)
    ├── ModelNotFound       no model of that name anywhere we may look            (LookupError)
    ├── ModelError          a model that is broken or not one we can run          (ValueError)
    │   ├── PickleRefused       it could only be read as a pickle
    │   └── RemoteCodeRefused   it could only be run with code from its repository
    ├── FormatError         a vectors file that is foreign, damaged or half there (ValueError)
    ├── FingerprintMismatch vectors of two different encoders meet                (ValueError)
    ├── OutputError         an output that cannot be written                      (OSError)
    │   └── OutputExists    … because something is there already                  (FileExistsError)
    ├── ResumeMismatch      an unfinished run made with other input or options    (ValueError)
    ├── FilterError         a filter that cannot be read, or a field no item has  (ValueError)
    ├── StoreError          a collection that cannot be opened, read or written   (RuntimeError)
    │   ├── CollectionNotFound  none in that place                                (LookupError)
    │   ├── CollectionLocked    another process writes to it
    │   └── CollectionDamaged   its files do not hold what they should
    ├── EngineError         an engine that cannot be reached, or whose workers die     (RuntimeError)
    ├── MissingExtra        an optional dependency that is not installed          (ImportError)
    └── BatchTooLarge       a single window that does not fit into memory         (MemoryError)
    TextsCut                a warning: texts were longer than the model reads     (UserWarning)
    WordsFlawed             a warning: a file of word vectors had words to pass over (UserWarning)
    FieldNotThere           a warning: no line has a field that was asked for     (UserWarning)
    LettersMissing          a warning: no font here has letters of a picture          (UserWarning)
    NotCalibrated           a warning: texts were too few to make labels equally likely (UserWarning)
    SplitterWanted          a warning: word vectors of words that a splitter found meet texts without it (UserWarning)
    FewTexts                a warning: SIF was fitted on too few texts            (UserWarning)

Each also derives from the builtin in brackets, which is what a caller who knows nothing of semvec
would catch.
"""

from __future__ import annotations


class SemvecError(Exception):
    """The root of every error semvec raises on purpose."""


class InputError(SemvecError, ValueError):
    """A text, a row or a source that cannot be encoded."""


class LabelRepeated(InputError):
    """A label that was learnt before, in a task that is to bring new ones."""


class OptionError(SemvecError, ValueError):
    """An option or a choice that does not exist or does not fit the others."""


class LevelError(OptionError):
    """A level this encoder cannot give."""


class MemoryTooLarge(OptionError):
    """A memory of examples that would hold all there is to learn from."""


class OverflowRefused(SemvecError, ValueError):
    """A text longer than the model reads, under ``overflow="error"``."""


class ModelNotFound(SemvecError, LookupError):
    """No model of that name in any of the places that were tried."""


class ModelError(SemvecError, ValueError):
    """A model that is broken, or not one that semvec can run."""


class PickleRefused(ModelError):
    """A model that could only be read by unpickling, without the user's word for it."""


class RemoteCodeRefused(ModelError):
    """A model that could only be run with code of its own, without the user's word for it."""


class FormatError(SemvecError, ValueError):
    """A vectors file that is foreign, damaged or only half there."""


class FingerprintMismatch(SemvecError, ValueError):
    """Vectors made by two different encoders were about to be mixed."""


class OutputError(SemvecError, OSError):
    """An output that cannot be written."""


class OutputExists(OutputError, FileExistsError):
    """An output that is there already."""


class ResumeMismatch(SemvecError, ValueError):
    """An unfinished run that was made with other input, another model or other options."""


class FilterError(SemvecError, ValueError):
    """A filter that cannot be read, or asks about a field that no item has."""


class StoreError(SemvecError, RuntimeError):
    """A collection that cannot be opened, read or written."""


class CollectionNotFound(StoreError, LookupError):
    """No collection in that place."""


class CollectionLocked(StoreError):
    """Another process writes to the collection."""


class CollectionDamaged(StoreError):
    """A collection whose files do not hold what they should."""


class EngineError(SemvecError, RuntimeError):
    """An engine that cannot be started or reached, or whose workers die."""


class MissingExtra(SemvecError, ImportError):
    """An optional dependency that is not installed; the message holds the pip command."""


WHOLE = "; overflow='windows' reads them whole"


class TextsCut(UserWarning):
    """Texts were longer than the model reads, and cut; ``Embeddings.n_truncated`` says which."""

    @classmethod
    def counted(cls, cut: int, texts: int, share: float) -> TextsCut:
        """Return the warning that ``cut`` of ``texts`` were cut, ``share`` of all tokens."""
        return cls(f"{cut:,} of {texts:,} texts were cut, {100 * share:.1f} % of tokens{WHOLE}")


class NotCalibrated(UserWarning):
    """Texts were too few to make labels equally likely over them, so labels are said as they come."""

    def __init__(self, texts: int, wanted: int) -> None:
        super().__init__(
            f"not calibrated: {texts:,} texts, where ten a label ({wanted:,}) are wanted to see how often each is said"
        )


class LettersMissing(UserWarning):
    """No font on this machine has some letters of a picture; boxes stand for them."""


class FieldNotThere(UserWarning):
    """A field that was asked for as metadata is in no line of a file."""


class WordsFlawed(UserWarning):
    """A file of word vectors held words more than once, or words that are not UTF-8."""


class FewTexts(UserWarning):
    """SIF was fitted on fewer texts than a vector has numbers: it takes out what those texts say, not what all share."""


class BatchTooLarge(SemvecError, MemoryError):
    """A single window that does not fit into memory, so that nothing is left to halve."""


class SplitterWanted(UserWarning):
    """Word vectors were trained on words that a splitter found, and texts are split without it."""
