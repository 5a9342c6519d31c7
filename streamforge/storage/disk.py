"""What a failure of the disk means."""

import errno

from streamforge.errors import DiskFull, StorageUnavailable


def disk_error(error: OSError) -> DiskFull | StorageUnavailable:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull("The disk of the media store is full; free some space.", debug=str(error))
    return StorageUnavailable("The media store cannot be read or written right now.", debug=str(error))
