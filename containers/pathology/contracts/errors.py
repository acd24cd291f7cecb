"""The few exceptions that end as one line: what is wrong, where, what to do."""


class PathologyError(Exception):
    """A run that failed for a reason we can name; exit code 1."""

    exit_code = 1


class DataError(PathologyError):
    """The data is wrong: a table without its columns, a file that is gone, a slide that cannot be read."""


class RequestError(PathologyError):
    """The request is wrong: a setting, a parameter, a placement. Refused before anything is created; exit code 2."""

    exit_code = 2
