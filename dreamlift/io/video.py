"""Films out: H.264 in MP4, which every browser plays."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from dreamlift.io.atomic import atomic
from dreamlift.io.images import to_bytes


def save_mp4(path: Path, frames: Iterable[Float[Tensor, "h w 3"]], *, fps: int = 24) -> None:
    """Write frames (sRGB in [0, 1]) as they come; sides are even, as yuv420p wants them.

    The index stands at the file's beginning, so that a browser starts before it has all of it.
    """
    import av

    with atomic(path) as file:
        # The absolute path: to FFmpeg, what stands before a colon is a protocol.
        with av.open(str(file.absolute()), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
            stream.pix_fmt = "yuv420p"
            _tag(stream.codec_context)
            stream.codec_context.thread_count = 1  # the same bytes, however many cores there are
            count = 0
            for frame in frames:
                h, w, _ = frame.shape
                if h % 2 or w % 2:
                    raise ValueError(f"A film's sides are even, not {w}x{h}. Render it larger.")
                if count == 0:
                    stream.width, stream.height = w, h
                picture = av.VideoFrame.from_ndarray(to_bytes(frame), format="rgb24")
                container.mux(stream.encode(picture))
                count += 1
            if count == 0:
                raise ValueError("A film needs at least one frame.")
            container.mux(stream.encode(None))


def _tag(codec: Any) -> None:
    """Say which colours it holds; where nothing is said, players take films of HD for BT.709."""
    codec.colorspace = 6  # BT.601, as the frames are converted
    codec.color_range = 1  # 16 to 235
    codec.color_primaries = 1  # sRGB's, which are BT.709's
    codec.color_trc = 13  # sRGB
