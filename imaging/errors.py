"""The error tree. Each message is the one sentence that a user will read."""


class OverreadError(Exception):
    """Anything that went wrong in a way we can explain; the CLI exits with `exit_code`."""

    exit_code = 1


class InputError(OverreadError):
    """What the user gave cannot be used: says what was wrong, where, and what to do."""

    exit_code = 2


class UnreadableImage(InputError):
    """A file is not an image we can read, or is unsafe to read."""


class UnknownReference(InputError):
    """An image reference, study, session or artifact that does not exist."""


class ConfigError(InputError):
    """A setting, a model folder, a port or a data folder that cannot be used."""


class IndexMismatch(InputError):
    """The index was built with another embedder, or its folder is damaged."""


class PlannerUnavailable(OverreadError):
    """The planner's server cannot be reached, did not start, or gave no usable reply."""


class NoUsableReply(PlannerUnavailable):
    """The planner is there, but cannot deal with this question; asking again will not help."""
