"""How large an array becomes in memory, asked before HDF5 is: a few kilobytes of a file can stand for terabytes."""

import zlib
from math import prod

import h5py

from stages.runtime.errors import ThunderError

# The toolkit writes no compressed arrays. Those of `h5repack` shrink to a half or a tenth; deflate goes to a thousandth.
_MAX_RATIO = 100
_SMALL_BYTES = 1 << 26
_SHUFFLE, _DEFLATE, _FLETCHER = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32


def check_decoded_size(dataset: h5py.Dataset, where: str) -> None:
    """Refuses an array that would take absurdly more memory than the file that holds it.

    Raises:
        ThunderError: its values lie in another file, it is compressed in a way this toolkit does not read, or decoding it
            would take more than 64 MiB and 100 times the size of the file, or more than its shape says.
    """
    if dataset.is_virtual or dataset.external or dataset.file.id != dataset.parent.file.id:
        raise ThunderError(f"{where}: its values lie in another file; make the file again with this toolkit")
    limit = max(_SMALL_BYTES, _MAX_RATIO * dataset.file.id.get_filesize())
    size = dataset.dtype.itemsize
    chunk_bytes = prod(dataset.chunks or ()) * size
    if max(dataset.size * size if dataset.size else 0, chunk_bytes) > limit:
        raise ThunderError(
            f"{where}: shape {dataset.shape} would take {max(dataset.size * size, chunk_bytes) / 1e9:.3g} GB of memory, out of "
            f"a file of {dataset.file.id.get_filesize() / 1e6:.3g} MB; do not trust this file, make it again"
        )
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(k)[0] for k in range(properties.get_nfilters())]
    if unknown := set(filters) - {_SHUFFLE, _DEFLATE, _FLETCHER}:
        raise ThunderError(f"{where}: compressed by HDF5 filter {min(unknown)}; undo it with `h5repack -f NONE`")
    if _DEFLATE in filters:
        for number in range(dataset.id.get_num_chunks()):
            chunk = dataset.id.get_chunk_info(number)
            # HDF5 inflates a chunk to its end, whatever the chunk's shape; here no more than the shape says is inflated.
            mask, stored = dataset.id.read_direct_chunk(chunk.chunk_offset)
            if mask == 0 and len(zlib.decompressobj().decompress(stored, chunk_bytes + 5)) > chunk_bytes + 4:
                raise ThunderError(
                    f"{where}: a chunk inflates to more than its {chunk_bytes} bytes; do not trust this file"
                )
