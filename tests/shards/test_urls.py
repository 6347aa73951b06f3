"""Which texts are accepted as the URL of a shard set, and which parts of a URL are shown."""

from pathlib import Path

import pytest

from headrace.shards.errors import UsageError
from headrace.shards.urls import Url, location, without_secrets


def test_word_is_a_folder_or_a_url() -> None:
    """Text that begins with a scheme is a URL; anything else is a folder, whatever characters it contains."""
    assert location("data/set") == Path("data/set")
    assert location("s3:/bucket/set") == Path("s3:/bucket/set")
    assert location("s3://bucket/set") == Url("s3://bucket/set")


def test_secrets_are_not_shown() -> None:
    """A signed query is sent with requests for the set and its files, but never printed."""
    url = Url("https://Host.example:8443/data/set/?sig=SECRET&se=2030")
    assert (str(url), url.name) == ("https://Host.example:8443/data/set", "set")
    assert str(url / "a b.tar") == "https://Host.example:8443/data/set/a%20b.tar"
    assert (url / "a.tar").text.endswith("/data/set/a.tar?sig=SECRET&se=2030")
    assert "SECRET" not in repr(url)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ftp://server/set", "s3://"),
        ("s3://", "no bucket"),
        ("https://me:SECRET@server/set", "so it is refused"),
        ("s3://bucket/set?versionId=1", "contain ? or #"),
        ("https://server:port/set", "not a URL"),
        ("https://me:SECRET/more@server/set", "not a URL"),
        ("https://me:SECRET?more@server/set", "not a URL"),
        ("https://me:SECRET@server:port/set", "not a URL"),
        ("https://server:port/set#SECRET", "not a URL"),
    ],
)
def test_url_that_cannot_be_used(text: str, word: str) -> None:
    """The error explains the reason and does not show the secret parts of the URL."""
    with pytest.raises(UsageError, match=word.replace("?", r"\?")) as caught:
        location(text)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("folder/1?.jpg", "folder/1?.jpg"),
        ("https://server/a@b.jpg?sig=secret", "https://server/a@b.jpg"),
        ("https://user:secret@server/1.jpg#secret", "https://server/1.jpg"),
        ("s3://bucket/1.jpg?secret", "s3://bucket/1.jpg"),
        ("https://server:port/1.jpg#secret", "https://server:port/1.jpg"),
    ],
)
def test_messages_show_no_secret_of_a_listed_path(word: str, shown: str) -> None:
    """A listing may name an invalid URL, whose secrets are left out; paths are shown unchanged."""
    assert without_secrets(word) == shown
