"""Files that are sold: unreadable on disk, whole for whoever may read them, or not at all."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.errors import Broken
from vendrail.kernel.soldfiles import PIECE_BYTES, SoldFiles, pieces_of

SIZES = (1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES)


@pytest.fixture
def files(tmp_path, vault):
    """A folder of files for sale."""
    return SoldFiles(tmp_path, vault)


def whole(file) -> bytes:
    """Read all of a file."""
    return b"".join(pieces_of(file))


@pytest.mark.parametrize("size", SIZES)
def test_what_was_taken_in_comes_out(files, tmp_path, size):
    """Of any size it is given as it came, its size is told first; the disk shows nothing."""
    content = (b"a secret book " * (size // 14 + 1))[:size]

    assert size == files.take_in(io.BytesIO(content), "a/one.epub")
    opened = files.open("a/one.epub")
    assert ("one.epub", size) == (opened.name, opened.size)
    assert content == whole(opened)
    assert b"secret" not in (tmp_path / "a/one.epub").read_bytes()
    assert ["one.epub"] == [path.name for path in (tmp_path / "a").iterdir()]


@pytest.mark.parametrize("harm", ["cut", "swapped", "changed", "longer"])
def test_what_was_altered_is_noticed(files, tmp_path, harm):
    """A piece that is cut off, moved, changed or added is `Broken`, never given as if right."""
    files.take_in(io.BytesIO(b"x" * 3 * PIECE_BYTES), "one.bin")
    path, sealed = tmp_path / "one.bin", PIECE_BYTES + 16
    text = path.read_bytes()
    head, pieces = text[:24], [text[24 + n * sealed : 24 + (n + 1) * sealed] for n in range(3)]
    pieces = {
        "cut": pieces[:2],
        "swapped": [pieces[1], pieces[0], pieces[2]],
        "changed": [pieces[0], pieces[1][:-1] + bytes([pieces[1][-1] ^ 1]), pieces[2]],
        "longer": [*pieces, pieces[0]],
    }[harm]
    path.write_bytes(head + b"".join(pieces))

    with pytest.raises(Broken):
        whole(files.open("one.bin"))


@given(content=st.binary(max_size=200))
def test_what_lies_there_unsealed_is_given_as_it_is(tmp_path_factory, vault, content):
    """A file that was put there by hand, whatever is in it but our mark, is read as it is."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "plain").write_bytes(content)

    assert content == whole(SoldFiles(folder, vault).open("plain"))


def test_nothing_outside_is_opened_or_removed(files, tmp_path):
    """Paths that lead out of the folder, or nowhere, open nothing and remove nothing."""
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("not ours")
    files.take_in(io.BytesIO(b"ours"), "mine/one.txt")
    files.remove("../outside.txt")

    assert [None, None] == [files.open("../outside.txt"), files.open("mine/two.txt")]
    assert "not ours" == outside.read_text()
    files.remove("mine/one.txt")
    assert files.open("mine/one.txt") is None
    outside.unlink()
