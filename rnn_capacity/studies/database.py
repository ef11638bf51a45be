"""Databases of studies: their URLs, and calls that wait while one is away, so that nothing measured is lost."""

import functools
import logging
import pathlib
import re
import sqlite3
import time
import warnings
from typing import Any

import optuna
import sqlalchemy
import sqlalchemy.exc
from sqlalchemy.pool import StaticPool

from rnn_capacity import private
from rnn_capacity.checks import InputError, first_line
from rnn_capacity.private import models
from rnn_capacity.training import stop

PATIENCE = 600.0  # seconds that a database is waited for
RETRY = 2.0  # seconds between two tries
HEARTBEAT = 5  # seconds between two signs of life of a trial in training
GRACE = 20  # seconds of silence after which it is taken over
LOCK_TIMEOUT = 60  # seconds that SQLite waits for another worker's write

# What SQLite says of a file that is busy, away or without room. All else stays as it is however long one waits.
PASSING = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
)
READ_ONLY = "25006"  # PostgreSQL's code of a server after a failover, and of one whose disk is full: it passes
LOOKUPS = ("get_study_id_from_name", "get_trial_id_from_study_id_trial_number")  # may ask for what is not there

POSTGRES = "postgresql://user:password@host/database"
PASSWORD = re.compile(r"[?&]\w*pass\w*=")  # as an option
# A URL without its slashes, and libpq's own way to name a database: no folders, and they may hold a password.
MISTYPED = re.compile(r"((?:postgres|sqlite|mysql|mariadb|oracle|mssql)[\w+]*:|.*?\bpassword=).*", re.DOTALL)

_logger = logging.getLogger(__name__)


class StorageLostError(RuntimeError):
    """The database cannot be used, or not for PATIENCE seconds; once it can, the same command goes on."""


# --- URLs -------------------------------------------------------------------------------------------------------------


def parse(text: str) -> sqlalchemy.URL:
    """A database URL as people have it, with the driver that we use; nothing is opened.

    Raises:
        InputError: it is none, or one that would be read as another than is meant.
    """
    wrong = lambda must: InputError(f"storage: {hide_password(text)!r} given; {must}")
    try:
        url = sqlalchemy.make_url(text)
    except (ValueError, sqlalchemy.exc.ArgumentError):  # a port that is no number; no URL at all
        raise wrong(f"it must be a URL such as {POSTGRES}, its port a number") from None
    is_file = url.get_backend_name() == "sqlite"
    option = PASSWORD.search(text)
    if not is_file and (text.count("@") != (url.username is not None) or (option and "@" in text[option.end() :])):
        # Else what stands behind an @ of the password would be taken for the host, and shown.
        raise wrong(f"it must be a URL such as {POSTGRES}, an @ in a name or password written %40")
    if re.fullmatch(r"postgres(ql)?(\+psycopg)?", url.drivername):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername.startswith("postgres"):
        raise wrong(f"it must be a URL such as {POSTGRES}: its driver is psycopg 3, and need not be named")
    try:
        url.get_dialect()
    except (sqlalchemy.exc.ArgumentError, ImportError):
        raise wrong(f"it must be a folder, or a URL such as {POSTGRES}: there is no such kind of database") from None
    if is_file and file_of(url) is None:
        raise wrong("it must name a file, as sqlite:///results/study.db does; None keeps studies in memory")
    return url


def file_of(url: sqlalchemy.URL) -> pathlib.Path | None:
    """The file of an SQLite database; None where it is another, or in memory."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    if name in (None, "", ":memory:") or url.query.get("mode") == "memory":
        return None
    return pathlib.Path(name.removeprefix("file:") if "uri" in url.query else name)


def connect_args(url: sqlalchemy.URL) -> dict[str, Any]:
    """Arguments of the driver other than the URL."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": LOCK_TIMEOUT}
    if url.drivername == "postgresql+psycopg":
        return {"prepare_threshold": None}  # a pooler such as PgBouncer gives each transaction another connection
    return {}


def show(url: sqlalchemy.URL) -> str:
    """A URL as people write it, without its password."""
    return hide_password(url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False))


def hide_password(text: object) -> str:
    """A text that may hold a URL, with *** for its password, also where that is not quoted as it must be."""
    start, mark, url = str(text).partition("://")
    if not mark:
        return MISTYPED.sub(r"\1***", start)
    if start.endswith("sqlite") and url.startswith("/"):
        return start + mark + url  # a path
    option = PASSWORD.search(url)
    if option and "@" in url[option.end() :]:
        return f"{start}://***"  # of the option, or of the user
    url = url[: option.end()] + "***" if option else url
    if "@" in url:
        return start + mark + re.sub("^([^:]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return start + mark + re.sub(r"^([^:/?[]*):(?!\d+([/?]|$)).+", r"\1:***", url, flags=re.DOTALL)  # no port


# --- Errors -----------------------------------------------------------------------------------------------------------


def _unwrapped(error: BaseException) -> BaseException:
    """SQLAlchemy's error, where Optuna has wrapped it."""
    return (isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__) or error


def reason(error: BaseException) -> str:
    """What the database itself says, in a line, where Optuna and SQLAlchemy have wrapped it."""
    error = _unwrapped(error)
    return hide_password(first_line(getattr(error, "orig", None) or error))


def being_made(error: BaseException) -> bool:
    """Whether opening a database failed since another worker makes its tables at this moment."""
    both = (error, error.__cause__)
    texts = ("already exists", "no such table", "does not exist")
    return any(isinstance(e, sqlalchemy.exc.IntegrityError) or any(text in str(e) for text in texts) for e in both)


def passes(error: BaseException) -> bool:
    """Whether waiting may mend an error: the database is away, busy, full, or read-only for a while."""
    error = _unwrapped(error)
    given = getattr(error, "orig", None)
    if (code := getattr(given, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in PASSING  # the upper bits say more of the same
    away = isinstance(error, sqlalchemy.exc.OperationalError) or getattr(error, "connection_invalidated", False)
    return away or getattr(given, "sqlstate", None) == READ_ONLY


def _patiently(method):
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        begun = time.monotonic()
        waiting = False
        while True:
            try:
                result = method(self, *args, **kwargs)
            except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
                fails = f"storage: {self.shown} fails ({reason(error)})"
                if not passes(error):
                    raise StorageLostError(f"{fails}; once that is mended, the same command goes on") from error
                if time.monotonic() - begun > PATIENCE:
                    raise StorageLostError(
                        f"{fails} for {PATIENCE / 60:.0f} minutes; all that it holds is kept, and the same command "
                        "goes on from there"
                    ) from error
                if not waiting:
                    _logger.warning("%s; waiting for it, for up to %.0f minutes", fails, PATIENCE / 60)
                waiting = True
                stop.check()
                time.sleep(RETRY)
                continue
            except KeyError as error:
                if method.__name__ in LOOKUPS:
                    raise
                raise StorageLostError(f"storage: {self.shown} has no longer a study or trial in use") from error
            if waiting:
                _logger.warning("storage: %s answers again", self.shown)
            return result

    return call


class Database(private.BeatingStorage):
    """Optuna's database storage with heartbeats, each of whose calls waits while the database is away.

    Args:
        url: as `parse` gives it.
    """

    def __init__(self, url: sqlalchemy.URL):
        _check_free(url)
        self.shown = show(url)
        text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # Optuna formats it
        options = {"connect_args": connect_args(url)}
        # To make and check its tables Optuna asks for a connection while it holds another, which behind a pooler of few
        # deadlocks several workers; so this is done first, with one connection for both.
        optuna.storages.RDBStorage(text, engine_kwargs=options | {"poolclass": StaticPool}).engine.dispose()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
            super().__init__(
                text,
                engine_kwargs=options | {"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                skip_compatibility_check=True,
                skip_table_creation=True,
            )


def _check_free(url: sqlalchemy.URL) -> None:
    """That an SQLite file has no tables of another program, beside which Optuna would make its own.

    Raises:
        ValueError: it has.
    """
    file = file_of(url)
    if file is not None and file.exists():
        engine = sqlalchemy.create_engine(url, connect_args=connect_args(url), poolclass=sqlalchemy.NullPool)
        tables = sqlalchemy.inspect(engine).get_table_names()
        if tables and models.StudyModel.__tablename__ not in tables:
            raise ValueError("it holds another program's tables")


for _name in {*optuna.storages.BaseStorage.__abstractmethods__, *private.CALLED_BY_CACHE, *private.HEARTBEATS}:
    setattr(Database, _name, _patiently(getattr(private.BeatingStorage, _name)))
