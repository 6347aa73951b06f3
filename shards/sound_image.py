"""An image that decodes wherever a decoder works: where it does not, no other image is to blame."""

import base64

from headrace.shards.errors import HeadraceError

SOUND_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
    "YVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAAR"
    "CAAIAAgDAREAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAAAv/EABcQAQADAAAAAAAAAAAAAAAAAAQAITH/xAAVAQEBAAAAAAAAAAAAAAAA"
    "AAABBP/EABgRAAMBAQAAAAAAAAAAAAAAAAACBSEx/9oADAMBAAIRAxEAPwBJRtwRCeZM5h//2Q=="
)
"""8 x 8 pixels of RGB, baseline."""


def broken_decoder(error: Exception) -> HeadraceError:
    """The user's error where a sound image does not decode."""
    reason = (str(error).rpartition("encountered:")[2].strip() or type(error).__name__).splitlines()[0]
    return HeadraceError(
        f"no image can be decoded on this machine now, not even a sound one ({reason}). Raise what it lacks and start "
        "again: open files (`ulimit -n`), threads (`ulimit -u`), memory, or a /dev/shm that can be written"
    )
