"""Laws of the filters: SQL and Python agree, the unknown passes nothing, and a filter is a value."""

import fnmatch
import functools
import operator
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.cli.filters import filter_options
from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery import filters as f
from autoreid_deploy.gallery.conditions import MAX_LEVELS
from autoreid_deploy.gallery.store import Store
from autoreid_deploy.records import Record, read_time


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store.create(tmp_path_factory.mktemp("filters") / "index", model_id="m@1", model="m", dim=1)
    f.register(store._database._connection)
    yield store
    store.close()


def fill(store: Store, records: list[Record]) -> dict[int, Record]:
    with store.write():
        store.delete(ids=[row.id for row in store.stored()])
        ids = store.put(records, np.ones((len(records), 1), np.float16), [None] * len(records))
    return dict(zip(ids, records, strict=True))


def passing(store: Store, where: f.Filter) -> list[int]:
    condition, values = where.sql()
    return [id for (id,) in store._database.run(f"SELECT id FROM crop WHERE {condition} ORDER BY id", values)]


class Judge(NamedTuple):
    """A filter and what it means."""

    where: f.Filter
    means: Callable[[Record], bool]


def of_column(make: Callable[..., f.Filter], column: str) -> Callable[[list[str]], Judge]:
    return lambda values: Judge(make(*values), lambda record: getattr(record, column) in values)


def of_globs(globs: list[str]) -> Judge:
    return Judge(
        f.path(*globs), lambda record: any(fnmatch.fnmatchcase(str(record.path), glob) for glob in globs)
    )


def of_span(start: float | None, end: float | None) -> Judge:
    if start is None or end is None:
        where = f.until(end or 0.0) if start is None else f.since(start)
        end = end or 0.0 if start is None else end
    else:
        start, end = min(start, end), max(start, end) + (start == end)
        where = f.during(start, end)
    low, high = -np.inf if start is None else start, np.inf if end is None else end
    return Judge(where, lambda record: record.time is not None and low <= record.time < high)


def joined(one: Judge, other: Judge) -> Judge:
    return Judge(one.where & other.where, lambda record: one.means(record) and other.means(record))


def either(one: Judge, other: Judge) -> Judge:
    return Judge(one.where | other.where, lambda record: one.means(record) or other.means(record))


def refused(one: Judge) -> Judge:
    return Judge(~one.where, lambda record: not one.means(record))


# Few values, so that they meet; some that would break out of SQL, JSON or a pattern.
TEXTS = st.sampled_from(
    ["1", "10", "0007", "", "null", "é", "日本", "' OR '1'='1", '"]', "a\nb", "\x01"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
TIMES = st.sampled_from([0.0, 1.0, 1.5, -1.0, 1.7e9]) | st.floats(-1e9, 1e9)
PIECES = [*"ab[]*?!^-\\'\n/.é日", *(os.fsdecode(bytes([byte])) for byte in (0x80, 0xC3, 0xE9, 0xFF))]
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map(
    lambda pieces: os.fsdecode(os.fsencode("".join(pieces)))  # two bytes may have become one letter
)
PATHS = NAMES.map(lambda name: Path(os.path.abspath("/" + name)))  # noqa: PTH100
GLOBS = st.builds("".join, st.tuples(st.sampled_from(["/", "/*", "*", "?", "[/]", "[!a]"]), NAMES))
RECORDS = st.lists(
    st.builds(
        Record,
        PATHS,
        st.none() | TEXTS,
        st.none() | TEXTS,
        st.none() | TIMES | st.just(np.nan),
        st.none() | TEXTS,
    ),
    max_size=8,
    unique_by=lambda record: record.path,
)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=1, max_size=3)


LEAVES = st.one_of(
    some(TEXTS).map(of_column(f.camera, "camid")),
    some(TEXTS).map(of_column(f.person, "pid")),
    some(TEXTS).map(of_column(f.tracklet, "tracklet")),
    st.builds(of_span, st.none() | TIMES, st.none() | TIMES),
    some(GLOBS).map(of_globs),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(joined, inner, inner), st.builds(either, inner, inner), st.builds(refused, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(RECORDS, TREES)
def test_sql_and_python_pass_what_the_filter_means(store: Store, records: list[Record], tree: Judge) -> None:
    rows = fill(store, records)
    truth = [id for id, record in rows.items() if tree.means(record)]
    assert [id for id, record in rows.items() if tree.where.matches(record)] == truth
    assert passing(store, tree.where) == truth
    assert passing(store, ~tree.where) == [id for id in rows if id not in truth]


@settings(max_examples=150, deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=8, unique=True), st.lists(GLOBS, min_size=1, max_size=2))
def test_a_glob_means_what_fnmatch_says(store: Store, paths: list[Path], globs: list[str]) -> None:
    rows = fill(store, [Record(path) for path in paths])
    globs = [*globs, *(str(path).replace("b", "*") for path in paths[:1])]
    tree = of_globs(globs)
    assert passing(store, tree.where) == [id for id, record in rows.items() if tree.means(record)]


def test_the_ends_of_a_time_range_are_since_inclusive_and_until_exclusive(store: Store) -> None:
    rows = fill(store, [Record(Path(f"/{time}"), time=time) for time in (9.5, 10.0, 19.5, 20.0)])
    assert [rows[id].time for id in passing(store, f.during(10, 20))] == [10.0, 19.5]
    assert [r.time for r in rows.values() if f.during(10, 20).matches(r)] == [10.0, 19.5]
    assert passing(store, f.during(10, 20)) == passing(store, f.since(10) & f.until(20))
    assert len(passing(store, f.since(10))) == len(passing(store, f.until(20))) == 3


def test_what_is_not_known_passes_only_behind_not(store: Store) -> None:
    unknown = Record(Path("/a.jpg"))
    rows = fill(store, [unknown])
    for where in (f.camera("3"), f.person("3"), f.tracklet("3"), f.since(0), f.until(0), f.during(0, 1)):
        assert (where.matches(unknown), passing(store, where)) == (False, [])
        assert ((~where).matches(unknown), passing(store, ~where)) == (True, list(rows))
        assert passing(store, ~(where | where)) == passing(store, ~(where & where)) == list(rows)


def test_a_relative_record_is_judged_by_its_absolute_path() -> None:
    assert f.path(str(Path.cwd() / "*.jpg")).matches(Record(Path("a.jpg")))


@pytest.mark.parametrize(
    "moment",
    [
        1793520000,
        1793520000.0,
        "1793520000",
        "2026-11-01T08:00",
        "2026-11-01T08:00Z",
        "2026-11-01T09:00+01:00",
        datetime(2026, 11, 1, 8),
        datetime(2026, 11, 1, 9, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_moment_may_be_written_in_many_ways_and_is_utc_without_a_zone(moment: Any) -> None:
    assert f.since(moment) == f.since(1793520000.0)
    assert read_time(moment) == 1793520000.0


def test_ten_thousand_values_need_one_parameter(store: Store) -> None:
    rows = fill(store, [Record(Path(f"/{i}"), str(i), str(i), None, str(i)) for i in (1, 9_999, 10_000)])
    values = [str(i) for i in range(10_000)]
    for where in (
        f.camera(*values),
        f.person(*values),
        f.tracklet(*values),
        f.path(*(f"/{v}" for v in values)),
    ):
        assert len(passing(store, where)) == len([r for r in rows.values() if where.matches(r)]) == 2
        assert len(passing(store, ~where)) == 1


@pytest.mark.parametrize("join", [operator.and_, operator.or_])
def test_a_chain_of_ten_thousand_nests_nothing(store: Store, join: Callable[..., f.Filter]) -> None:
    rows = fill(store, [Record(Path(f"/{i}"), time=float(i)) for i in (-1, 5_000, 10_001)])
    where = functools.reduce(join, map(f.since, range(10_000)))
    assert passing(store, where) == [id for id, record in rows.items() if where.matches(record)]
    assert len(passing(store, where)) == (1 if join is operator.and_ else 2)
    assert hash(where) == hash(functools.reduce(join, map(f.since, range(10_000))))
    assert repr(where).count("since") == 10_000


@pytest.mark.parametrize("last", [False, True])
def test_brackets_nest_as_deep_as_sqlite_reads_them_and_no_deeper(store: Store, last: bool) -> None:
    rows = fill(store, [Record(Path(f"/data/{i}"), str(i), str(i), float(i)) for i in range(20)])
    where, deepest = f.camera("3"), None
    wide = functools.reduce(operator.or_, (~f.camera(str(i)) for i in range(31)))
    with pytest.raises(InputError, match=f"at most {MAX_LEVELS} levels of brackets, got {MAX_LEVELS + 1}; "):
        for i in range(5_000):
            leaf = f.path(f"/data/{i}") if i % 2 else wide
            deepest, join = where, operator.and_ if i % 3 else operator.or_
            where = ~(join(leaf, where) if last else join(where, leaf))
    assert deepest is not None
    assert passing(store, deepest) == [id for id, record in rows.items() if deepest.matches(record)]
    flips = functools.reduce(lambda where, _: ~where, range(5_000), f.camera("3"))
    assert flips == f.camera("3")


def test_the_indexes_of_the_table_are_used(store: Store) -> None:
    for where, index in [
        (f.camera("3", "5"), "USING COVERING INDEX crop_camid (camid=?)"),
        (f.person("3") & ~f.camera("5") & f.since(0), "USING INDEX crop_pid (pid=?)"),
        (f.path("/data/night/*", "/data/noon/*"), "sqlite_autoindex_crop_1 (path>? AND path<?)"),
    ]:
        condition, values = where.sql()
        plan = store._database.run(
            f"EXPLAIN QUERY PLAN SELECT id FROM crop WHERE {condition}", values
        ).fetchall()
        assert any(index in line[-1] for line in plan), plan


def test_filters_that_are_written_alike_are_equal_and_one_key() -> None:
    def make() -> f.Filter:
        return f.camera("3", "5") & ~f.person("0007") & (f.since(0) | f.path("*/night/*", "/a"))

    assert make() == make()
    assert len({make(), make(), ~make(), ~~make()}) == 2
    assert f.camera("3", "5") == f.camera("5", "3", "3")
    assert f.camera("1") != f.person("1") != f.tracklet("1")
    assert f.since(1) != f.until(1)
    assert f.camera("1") & f.person("1") != f.camera("1") | f.person("1")
    a, b, c = f.camera("a"), f.person("b"), f.since(0)
    assert (a & b) & c == a & (b & c)
    assert (a | b) | c == a | (b | c)


@given(TREES)
def test_a_filter_reads_as_the_python_that_makes_it(tree: Judge) -> None:
    assert eval(repr(tree.where), dict(vars(f))) == tree.where
    assert str(tree.where) == repr(tree.where)


def test_a_filter_reads_well() -> None:
    where = (
        f.camera("5", "3") & ~f.person("0007") & (f.during("2026-11-01", 1e12) | ~(f.path("*") | f.until(0)))
    )
    assert str(where) == (
        "camera('3', '5') & ~person('0007') & (during('2026-11-01T00:00:00+00:00', "
        "1000000000000.0) | ~(path('*') | until('1970-01-01T00:00:00+00:00')))"
    )


def test_a_filter_never_changes() -> None:
    for where in (f.camera("3"), f.since(0), f.path("*"), ~f.camera("3"), f.camera("3") & f.since(0)):
        for name in type(where).__dataclass_fields__:  # type: ignore[attr-defined]
            with pytest.raises(AttributeError):
                setattr(where, name, None)


def test_the_cameras_of_a_filter_are_gathered_from_everywhere() -> None:
    where = f.camera("1") & (~f.camera("2", "3") | f.person("9") & ~(f.camera("4") | f.since(0)))
    assert where.cameras() == {"1", "2", "3", "4"}
    assert f.person("9").cameras() == frozenset()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: f.camera(), "expected at least one camera, got none; for no filter at all give None"),
        (lambda: f.person(), "at least one person"),
        (lambda: f.tracklet(), "at least one tracklet"),
        (lambda: f.path(), "at least one path"),
        (lambda: f.camera(3), r"expected text for each camera, as in camera\('3', '5'\), got 3"),
        (lambda: f.camera(["3", "5"]), r"got \['3', '5'\]"),
        (lambda: f.person("a\0"), r"got 'a\\x00', which no crop can carry"),
        (lambda: f.person("\udce9"), r"got '\\udce9', which no crop can carry"),
        (lambda: f.path("/\ud800"), r"got '/\\ud800', which no crop can carry"),
        (lambda: f.path("night/*"), r"whole absolute path, got 'night/\*'; try '\*/night/\*'"),
        (lambda: f.path(""), "whole absolute path, got ''"),
        (lambda: f.since("yesterday"), "expected seconds since the epoch or ISO 8601 .* got 'yesterday'"),
        (lambda: f.until(float("nan")), "got nan"),
        (lambda: f.until(float("inf")), "got inf"),
        (lambda: f.since(None), "got None"),
        (
            lambda: f.during("2026-11-02", "2026-11-01T12:00"),
            r"ends after its start, got since '2026-11-02T00:00:00\+00:00' until '2026-11-01T12:00:00\+00:00'",
        ),
        (lambda: f.during(5, 5), "ends after its start"),
        (lambda: f.camera("3") and f.person("7"), "join filters with &, | and ~"),
    ],
)
def test_what_is_no_filter_is_refused_in_one_line(make: Callable[[], f.Filter], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("|", r"\|")) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", [None, "3", True])
def test_a_filter_joins_only_filters(other: Any) -> None:
    for join in (operator.and_, operator.or_):
        with pytest.raises(TypeError, match="unsupported operand"):
            join(f.camera("3"), other)


@pytest.fixture
def parse() -> Callable[..., Any]:
    """Give the filter that a command receives; a wrong usage comes back as its last line."""

    def parse(*words: str) -> Any:
        received: list[f.Filter | None] = []

        @click.command()
        @filter_options
        @click.option("-k", default=1)
        def command(k: int, filter: f.Filter | None) -> None:
            received.append(filter)

        result = CliRunner().invoke(command, words)
        if result.exit_code == 2:
            return result.output.splitlines()[-1]
        assert result.exit_code == 0, result.output
        return received[0]

    return parse


def test_without_an_option_there_is_no_filter(parse: Callable[..., Any]) -> None:
    assert parse() is None
    assert parse("-k", "3") is None


def test_an_option_given_again_adds_a_choice_and_another_one_narrows(parse: Callable[..., Any]) -> None:
    assert parse("--camera", "3", "--camera", "5") == f.camera("3", "5")
    assert parse("--not-camera", "3", "--not-camera", "5") == ~f.camera("3", "5")
    assert parse("--tracklet", "a", "--tracklet", "b") == f.tracklet("a", "b")
    assert parse("--path", "*/night/*", "--path", "/a") == f.path("*/night/*", "/a")
    assert parse("--camera", "3", "--person", "7", "--not-person", "-1") == (
        f.camera("3") & f.person("7") & ~f.person("-1")
    )


def test_times_mean_on_the_command_line_what_they_mean_in_a_csv(parse: Callable[..., Any]) -> None:
    assert parse("--since", "2026-11-01T08:00") == f.since(1793520000)
    assert parse("--until", "2026-11-01T09:00+01:00") == f.until(1793520000)
    assert parse("--since", "0", "--until", "1793520000") == f.during(0, 1793520000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--since", "noon"],
            "Error: Invalid value for '--since': expected seconds since the epoch or ISO 8601 for the time, "
            "got 'noon'; write it like 2026-11-01T08:00",
        ),
        (
            ["--since", "2026-11-02", "--until", "2026-11-01"],
            "Error: expected a time range that ends after its start, "
            "got since '2026-11-02T00:00:00+00:00' until '2026-11-01T00:00:00+00:00'",
        ),
        (
            ["--path", "night/*"],
            "Error: expected a glob for the whole absolute path, got 'night/*'; try '*/night/*'",
        ),
    ],
)
def test_a_wrong_option_is_wrong_usage_told_in_one_line(
    parse: Callable[..., Any], words: list[str], message: str
) -> None:
    assert parse(*words) == message
