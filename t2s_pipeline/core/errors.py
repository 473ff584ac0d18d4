"""The few exceptions a user can meet: each message names the thing, what is wrong and what to do."""


class T2SError(Exception):
    """A fault the user can mend. The command line prints its message as one sentence and exits with 1."""


class InputError(T2SError):
    """A file, folder or value that was given to us cannot be used."""


class MissingWorkerError(T2SError):
    """The worker environment (torch, transformers, sam2) is not where we look for it."""


class NotMaterializedError(T2SError):
    """A table partition or checkpoint that this step reads does not exist yet."""
