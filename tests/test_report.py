"""Laws of the report: frames tell the truth, text cannot break the page, files are whole."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery import Hit
from autoreid_deploy.records import Record
from autoreid_deploy.report import Answer, contact_sheet, html_page, verdict

GREEN, RED, GREY, BLUE = (34, 150, 76), (206, 54, 44), (170, 170, 176), (60, 90, 200)


@pytest.fixture
def answer(crop_folder: Path) -> Answer:
    """Person 0001 asked; hits: the same person, another one, an unknown one and a file that is gone."""
    query = Record(crop_folder / "0001_c1s1_000001_00.jpg", "0001", "1")
    found = [
        Record(crop_folder / "0001_c2s1_000001_00.jpg", "0001", "2"),
        Record(crop_folder / "0002_c1s1_000001_00.jpg", "0002", "1"),
        Record(crop_folder / "0003_c1s1_000001_00.jpg"),
        Record(crop_folder / "gone.jpg", "0004", None),
    ]
    return Answer(query, [Hit(i, i, i / 10, record) for i, record in enumerate(found, 1)])


@pytest.mark.parametrize(
    ("query", "hit", "expected"),
    [
        ("7", "7", "same"),
        ("7", "8", "other"),
        ("7", "0000", "other"),
        ("7", "-1", "unknown"),
        ("7", None, "unknown"),
        (None, "7", "unknown"),
        (None, None, "unknown"),
        ("-1", "-1", "unknown"),
        ("0000", "0000", "unknown"),
    ],
)
def test_a_frame_is_green_or_red_only_where_both_people_are_known(query, hit, expected: str) -> None:
    assert verdict(Record(Path("q.jpg"), query), Record(Path("h.jpg"), hit)) == expected


def frames(sheet: np.ndarray) -> list[tuple[int, ...]]:
    """List the colours of the frames along the sheet's first line of tiles."""
    colours: list[tuple[int, ...]] = []
    for pixel in sheet[30, :].tolist():
        if tuple(pixel) != (255, 255, 255) and (not colours or colours[-1] != tuple(pixel)):
            colours.append(tuple(pixel))
        elif tuple(pixel) == (255, 255, 255):
            colours.append(())
    return [colour for before, colour in zip([(), *colours], colours, strict=False) if colour and not before]


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_sheet_frames_query_same_other_and_unknown(answer: Answer, tmp_path: Path) -> None:
    contact_sheet([answer], tmp_path / "sheet.png")
    assert frames(read(tmp_path / "sheet.png")) == [BLUE, GREEN, RED, GREY, RED]


def test_a_sheet_shows_the_crop_itself(answer: Answer, tmp_path: Path) -> None:
    contact_sheet([answer], tmp_path / "sheet.png")
    sheet = read(tmp_path / "sheet.png")
    crop = read(answer.query.path)
    tile = sheet[28 + 5 : 28 + 5 + 288, 28 + 5 : 28 + 5 + 144]
    assert np.abs(cv2.resize(tile, (64, 128), interpolation=cv2.INTER_AREA).astype(int) - crop).mean() < 2


def test_a_sheet_has_a_row_for_each_query_and_wraps_long_answers(answer: Answer, tmp_path: Path) -> None:
    def height(answers: list[Answer]) -> int:
        contact_sheet(answers, tmp_path / "sheet.png")
        return len(read(tmp_path / "sheet.png"))

    one = height([answer])
    two = height([answer, answer])
    assert two - one == height([answer] * 3) - two > 288
    assert height([Answer(answer.query, list(answer.hits) * 3)]) == two


def test_strange_crops_fit_into_their_tiles(tmp_path: Path) -> None:
    hits = []
    for i, (height, width) in enumerate([(1, 1), (1, 3000), (3000, 1), (5, 700)]):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
        hits.append(Hit(i + 1, i, 0.5, Record(path)))
    answers = [Answer(Record(tmp_path / "0.png"), hits)]
    contact_sheet(answers, tmp_path / "sheet.png")
    html_page(answers, tmp_path / "page.html")
    assert len(frames(read(tmp_path / "sheet.png"))) == 5


def test_a_sheet_of_nothing_or_of_too_much_is_refused(answer: Answer, tmp_path: Path) -> None:
    for answers in ([], [answer] * 2000):
        with pytest.raises(InputError, match=r"a sheet can't show \d+ queries; write a page instead"):
            contact_sheet(answers, tmp_path / "sheet.png")
    assert not list(tmp_path.glob("*.png"))


class Page(HTMLParser):
    """Collects a page's figures and whatever it would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "figure":
            self.figures.append(str(given["class"]))
        source = given.get("src") or given.get("href") or ""
        if tag in ("script", "link", "iframe", "object") or (source and not source.startswith("data:")):
            self.outside.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_a_page_tells_all_and_needs_nothing_else(answer: Answer, tmp_path: Path) -> None:
    html_page([answer, answer], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.figures == ["query", "same", "other", "unknown", "other"] * 2
    assert page.outside == []
    assert page.open == []
    for word in ("0.100", "person 0002, camera 1", "0002_c1s1_000001_00.jpg", "no such file or directory"):
        assert word in page.words
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(pictures) == 8
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (288, 144, 3)


def test_names_cannot_break_out_of_the_page(crop_folder: Path, tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>\udcff&.jpg'.replace("/", "")
    path = crop_folder / evil
    path.write_bytes((crop_folder / "0001_c1s1_000001_00.jpg").read_bytes())
    hit = Hit(1, 1, 0.0, Record(path, "<b>", '"c"'))
    html_page([Answer(Record(path, "<i>"), [hit])], tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.outside == []
    assert 'person <b>, camera "c"' in page.words
    contact_sheet([Answer(Record(path, "日本"), [hit])], tmp_path / "sheet.png")


def test_a_report_replaces_the_old_one_whole_or_not_at_all(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "out" / "page.html"
    page.parent.mkdir()
    page.write_text("the old page")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"page.html: can't be written: no space left on device"):
            html_page([answer], page)
    assert page.read_text() == "the old page"
    assert list(page.parent.iterdir()) == [page]
    html_page([answer], page)
    assert "doctype" in page.read_text()
    assert list(page.parent.iterdir()) == [page]
    with pytest.raises(InputError, match="is a directory"):
        contact_sheet([answer], page.parent)
