from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import LAYOUTS, Record, _market, read_ids, read_names, scan


@pytest.fixture
def folder(tmp_path):
    def fill(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return fill


def labels(records):
    return {record.path.name: (record.pid, record.camid) for record in records}


def test_market_names_tell_person_and_camera(folder):
    source = folder(
        "0002_c1s1_000451_03.jpg", "-1_c3s2_000001_00.jpg", "0000_c6s4_1_1.jpg", "0005_c2_f0046182.jpg"
    )
    assert labels(scan(source)) == {
        "0002_c1s1_000451_03.jpg": ("0002", "1"),
        "-1_c3s2_000001_00.jpg": ("-1", "3"),
        "0000_c6s4_1_1.jpg": ("0000", "6"),
        "0005_c2_f0046182.jpg": ("0005", "2"),
    }


@given(st.integers(0, 9999), st.integers(1, 99), st.integers(1, 9), st.integers(0, 999999))
def test_every_market_name_gives_back_its_parts(pid, camid, sequence, frame):
    assert _market(f"{pid:04d}_c{camid}s{sequence}_{frame:06d}_00") == (f"{pid:04d}", f"{camid}")


@given(st.text())
def test_any_name_parses_or_tells_nothing(stem):
    found = _market(stem)
    assert found is None or stem.startswith(f"{found[0]}_c{found[1]}")


def test_auto_takes_each_market_name_by_itself(folder):
    source = folder("0002_c1s1_1_1.jpg", "holiday.jpg", "0002_c1st.jpg", "x0002_c1.jpg", "٣_c1.jpg")
    assert labels(scan(source)) == {
        "0002_c1s1_1_1.jpg": ("0002", "1"),
        "holiday.jpg": (None, None),
        "0002_c1st.jpg": (None, None),
        "x0002_c1.jpg": (None, None),
        "٣_c1.jpg": (None, None),
    }


@pytest.mark.parametrize("names", LAYOUTS)
def test_no_names_give_no_records(names):
    assert read_names([], names=names) == []


def test_cuhk01_has_two_shots_by_each_of_two_cameras(folder):
    source = folder(*(f"0007{shot:03d}.png" for shot in range(1, 5)))
    assert [(r.pid, r.camid) for r in scan(source)] == [("cuhk01-0007", c) for c in "1122"]


def test_cuhk03_has_five_shots_by_each_of_two_cameras_and_its_person_0000_is_no_distractor(folder):
    source = folder(*(f"0000_{shot:02d}.jpg" for shot in range(10)))
    assert [(r.pid, r.camid) for r in scan(source)] == [("cuhk03-0000", c) for c in "1111122222"]


@pytest.mark.parametrize("name", ["0007001.png", "0000_04.jpg"])
def test_auto_takes_a_cuhk_layout_only_if_every_file_follows_it(folder, name):
    assert labels(scan(folder(name)))[name] != (None, None)
    assert labels(scan(folder(name, "other.jpg")))[name] == (None, None)


def test_people_that_cuhk_numbers_anew_in_each_folder_are_not_mixed(folder):
    source = folder("train/0000_00.jpg", "val/0000_00.jpg")
    with pytest.raises(InputError, match=r"0000_00 comes 2 times.* give one folder"):
        scan(source, names="cuhk03")
    assert {record.pid for record in scan(source)} == {None}


def test_plain_names_tell_nothing(folder):
    assert [r.pid for r in scan(folder("0002_c1s1_1_1.jpg"), names="plain")] == [None]


@pytest.mark.parametrize("names", ["market", "cuhk01", "cuhk03"])
def test_a_file_that_breaks_the_layout_asked_for_is_named(folder, names):
    source = folder("holiday.jpg")
    with pytest.raises(InputError, match=f"holiday.jpg: not a name of the layout {names}"):
        scan(source, names=names)


def test_an_unknown_layout_is_told_the_known_ones(folder):
    with pytest.raises(InputError, match=r"auto, market, cuhk01, cuhk03, plain .* got 'duke'"):
        scan(folder("a.jpg"), names="duke")


def test_a_folder_is_searched_in_depth_and_sorted_by_path(folder):
    source = folder("b/0002_c1.jpg", "a/0003_c1.jpg", "Thumbs.db", "c.txt", "0009_c1.png")
    names = [record.path.relative_to(source).as_posix() for record in scan(source)]
    assert names == ["0009_c1.png", "a/0003_c1.jpg", "b/0002_c1.jpg"]


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none"):
        scan(tmp_path)
    with pytest.raises(InputError, match="gone: no such folder"):
        scan(tmp_path / "gone")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"a\.jpg: expected a folder or a \.csv file"):
        scan(tmp_path / "a.jpg")


def write(path, text, **options):
    path.write_text(text, **options)
    return path


def test_a_csv_gives_everything_it_says(tmp_path):
    noon = datetime(2024, 5, 1, 12, tzinfo=timezone.utc).timestamp()
    source = write(
        tmp_path / "crops.csv",
        "path,pid,camid,time,tracklet\n"
        "a.jpg,0002,3,2024-05-01T12:00:00,t1\n"
        '"b, c.jpg",,,2024-05-01 14:00:00+02:00,\n'
        "/abs/d.jpg,ann,door,1714564800.5,\n"
        "\n"
        "e.jpg,x,1,2024-05-01T12:00:00Z,\n",
    )
    records = scan(source)
    assert records[0] == Record(tmp_path / "a.jpg", "0002", "3", noon, "t1")
    assert records[1] == Record(tmp_path / "b, c.jpg", None, None, noon, None)
    assert records[2].path.as_posix() == "/abs/d.jpg"
    assert records[2].time == noon + 0.5
    assert records[3].time == noon


def test_a_csv_may_come_from_a_spreadsheet(tmp_path):
    source = write(
        tmp_path / "crops.CSV", "path,camid,pid\r\né.jpg,1,2\r\n", encoding="utf-8-sig", newline=""
    )
    assert scan(source) == [Record(tmp_path / "é.jpg", "2", "1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header .* got nothing"),
        ("path,pid,camid\n", "found none"),
        ("file,pid\na.jpg,1\n", "header .* got file,pid"),
        ("path,path\na.jpg,1\n", "header .* got path,path"),
        ("path,pid,camera\na.jpg,1,1\n", "column 'camera'; did you mean camid"),
        ("path,pid,camid\na.jpg,1\n", "line 2: expected 3 cells as in the header, got 2"),
        ("path,pid\na.jpg,1\n,2\n", "line 3: expected a path"),
        ("path,pid\na.jpg,1\na.jpg,2\n", r"line 3: .*a\.jpg is already in line 2"),
        ("path,time\na.jpg,yesterday\n", "line 2: .* got 'yesterday'"),
        ("path,time\na.jpg,nan\n", "line 2: .* got 'nan'"),
        ('path,pid\n"a.jpg,1\n', "not a CSV row"),
    ],
)
def test_a_broken_csv_is_told_by_line(tmp_path, text, message):
    source = write(tmp_path / "crops.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        scan(source)
    assert str(caught.value).startswith(str(source))
    assert "\n" not in str(caught.value)


def test_a_csv_that_is_no_text_is_refused(tmp_path):
    source = tmp_path / "crops.csv"
    source.write_bytes(b"path\n\xff\xfe.jpg\n")
    with pytest.raises(InputError, match="UTF-8 text file"):
        scan(source)


def test_ids_are_read_without_blank_lines_and_comments(tmp_path):
    source = write(tmp_path / "ids.txt", "# val\n0002\n\n  0007  # twice seen\n0002\n")
    assert read_ids(source) == {"0002", "0007"}


def test_an_id_list_that_lists_nobody_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none"):
        read_ids(write(tmp_path / "ids.txt", "# nobody\n"))
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read"):
        read_ids(tmp_path / "gone.txt")
