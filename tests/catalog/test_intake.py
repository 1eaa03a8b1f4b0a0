"""Key files: read whatever their form, taken whole, reported line by line."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.catalog import KeyReject, KeyState
from vendrail.catalog.intake import clean, take_file
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import named_id
from vendrail.kernel.keyfiles import Line, format_of, in_batches, read_lines


def lines_of(data: bytes, format="txt", column=None):
    """Read bytes as a file; give (number, text)."""
    return [(line.number, line.text) for line in read_lines(io.BytesIO(data), format, column)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le-mark", "utf-16-be-mark"]
)
def test_encodings_are_found(encoding):
    """UTF-8 with or without a mark, GB 18030 and marked UTF-16 give the same text."""
    text = "卡号一-密码一\r\n卡号二-密码二\r\n"
    if encoding == "utf-16-le-mark":
        data = b"\xff\xfe" + text.encode("utf-16-le")
    elif encoding == "utf-16-be-mark":
        data = b"\xfe\xff" + text.encode("utf-16-be")
    else:
        data = text.encode(encoding)

    assert [(1, "卡号一-密码一"), (2, "卡号二-密码二")] == lines_of(data)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_of_every_system_are_read(ending):
    """LF, CRLF and CR end a line; the last line needs none; empty lines keep the numbers right."""
    data = ending.join(["A", "", "B", "C"]).encode()

    assert [(1, "A"), (2, ""), (3, "B"), (4, "C")] == lines_of(data)


def test_gb18030_deep_in_a_file_is_found():
    """A file that looks like ASCII for megabytes and then holds GB 18030 is read as such."""
    data = b"KEY\n" * 600_000 + "密码".encode("gb18030")

    *_, last = read_lines(io.BytesIO(data))

    assert Line(600_001, "密码") == last


def test_a_stream_that_cannot_be_read_twice_is_judged_by_its_start():
    """Standard input is read as it comes; what cannot be decoded is rejected as not_text."""

    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.rest = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, target):
            return self.rest.readinto(target)

    pipe = io.BufferedReader(Pipe(b"A-1\n" + b"x" * 2_000_000 + b"\n\xff\xfe\n"), 4_096)

    texts = [clean(line.text, 100) for line in read_lines(pipe)]

    assert [("A-1", ""), ("", "too_long"), ("", "not_text")] == texts
    with pytest.raises(Malformed, match="buffered"):
        list(read_lines(Pipe(b"")))


@pytest.mark.parametrize(
    "text, expected",
    [
        (" A-1 \t", ("A-1", "")),
        ("\ufeff\u200bA-1\u3000", ("A-1", "")),
        ("user----pass word", ("user----pass word", "")),
        ("a\tb\nc", ("a\tb\nc", "")),
        ("", ("", "empty")),
        ("\u3000", ("", "empty")),
        ("x" * 21, ("", "too_long")),
        ("a\x00b", ("", "not_text")),
        ("a\x1b[2Jb", ("", "not_text")),
        ("a\x85b", ("", "not_text")),
        ("a\ufffdb", ("", "not_text")),
    ],
)
def test_lines_are_cleaned(text, expected):
    """Blank edges go; what is empty, too long or no text is rejected with its reason."""
    assert expected == clean(text, 20)


def test_half_a_surrogate_pair_is_no_text():
    """What cannot be written as UTF-8 is rejected."""
    assert ("", "not_text") == clean("a" + chr(0xD800), 20)


@given(st.text(max_size=40))
def test_clean_is_stable(text):
    """What was cleaned once is clean, and can be written and sealed."""
    key, reason = clean(text, 30)

    assert bool(key) != bool(reason)
    if key:
        assert (key, "") == clean(key, 30)
        assert key == key.encode().decode()


def test_csv_names_its_column():
    """The column is found by a usual name, by the name given, or is the only one."""
    table = 'sku;卡密;note\r\ngame;A-1;x\r\ngame;"A;2";y\r\n'.encode()

    assert [(2, "A-1"), (3, "A;2")] == lines_of(table, "csv")
    assert [(2, "x"), (3, "y")] == lines_of(table, "csv", " NOTE ")
    assert [(1, "A-1"), (2, "A-2")] == lines_of(b"A-1\nA-2\n", "csv")
    assert [(2, "A-1")] == lines_of(b"\xef\xbb\xbfKey\nA-1\n", "csv")
    assert [] == lines_of(b"", "csv")


def test_csv_keeps_the_numbers_of_lines():
    """Quoted line breaks, empty rows and short rows do not shift the numbers of the report."""
    data = b'key,x\n"two\nlines",1\n\n"say ""hi""",2\nonly\n,5\n'

    assert [(2, "two\nlines"), (5, 'say "hi"'), (6, "only"), (7, "")] == lines_of(data, "csv")


@pytest.mark.parametrize(
    "data, column, message",
    [
        (b"a,b\n1,2\n", None, "Which column holds the keys"),
        (b"a,b\n1,2\n", "key", "no column 'key'; it has a, b"),
        (b'key\n"open\nnever closed\n', None, "cannot be read from line 2"),
        (b"key\n" + b"x" * 100_000, None, "longer than"),
    ],
)
def test_csv_that_cannot_be_read_says_why(data, column, message):
    """A CSV without a column of keys, or broken, is refused with what to do."""
    with pytest.raises(Malformed, match=message):
        lines_of(data, "csv", column)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
        min_size=1,
    )
)
def test_csv_round_trip(texts):
    """What a CSV writer wrote is read back, quotes and delimiters included."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["key"], *([text] for text in texts)])

    assert texts == [text for _, text in lines_of(file.getvalue().encode(), "csv")]


def test_formats_are_told_by_name(tmp_path):
    """A .csv or .tsv is a table; everything else has one key a line."""
    names = ["a.csv", "a.TSV", "a.txt", "a"]

    assert ["csv", "csv", "txt", "txt"] == [format_of(tmp_path / name) for name in names]


async def test_a_file_goes_in_and_comes_out(catalog, scene, tmp_path):
    """A file is taken in batches with progress and rejects, and exported in its order."""
    await scene.stock(catalog, 0)
    texts = [f"KEY-{n:06}-密" for n in range(12_000)]
    file = tmp_path / "keys.txt"
    file.write_bytes("\r\n".join([*texts, "", texts[5], "bad\x00"]).encode("gb18030"))
    progress, rejects = [], []

    report = await take_file(
        catalog,
        "game",
        file,
        named_id("file"),
        on_progress=lambda report: progress.append(report.lines),
        on_rejects=rejects.extend,
    )

    assert [5_000, 10_000, 12_003] == progress
    assert (12_003, 12_000) == (report.lines, report.added)
    assert {"empty": 1, "duplicate": 1, "not_text": 1} == report.rejected
    assert rejects == report.rejects
    assert [
        KeyReject(12_001, "empty"),
        KeyReject(12_002, "duplicate"),
        KeyReject(12_003, "not_text"),
    ] == rejects
    pages, after = [], None
    while page := await catalog.export_keys("game", KeyState.FREE, after, 5_000):
        pages += [text for _, text in page]
        after = page[-1][0]
    assert texts == pages


async def test_a_file_taken_again_changes_nothing(service, scene, tmp_path):
    """Under the same batch id the report is the same and no key is added."""
    await scene.stock(service, 0)
    file = tmp_path / "keys.csv"
    file.write_text("key,note\nA-1,x\nA-2,y\nA-1,z\n")

    first = await take_file(service, "game", file, named_id("file"))
    again = await take_file(service, "game", file, named_id("file"))

    assert first == again
    assert (3, 2, {"duplicate": 1}) == (first.lines, first.added, first.rejected)
    [count] = await service.count_stock(["game"])
    assert 2 == count.free


async def test_an_unknown_sku_is_said_at_once(service, tmp_path):
    """A file for a SKU that is not there is refused before it is read through."""
    file = tmp_path / "keys.txt"
    file.write_bytes(b"A\n" * 50_000)

    with pytest.raises(Malformed, match="no SKU 'none'"):
        await take_file(service, "none", file, named_id("file"))


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 200,000 lines is read in the memory of a few batches."""
    file = tmp_path / "keys.txt"
    file.write_bytes(b"".join(b"KEY-%07d-ABCDEFGH\n" % n for n in range(200_000)))
    tracemalloc.start()
    with file.open("rb") as stream:
        count = sum(len(batch) for batch in in_batches(read_lines(stream)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 200_000 == count
    assert peak < 8_000_000
