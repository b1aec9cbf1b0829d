"""Decoding: exactly the frames that were asked for, or an error that names the file."""

import av
import numpy as np
import pytest
from conftest import counting_frames, shown_index, write_video

from ffn import video
from ffn.video import UnreadableVideoError, Video

H264 = {"crf": "12", "g": "12"}
OPEN = {"crf": "12", "x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0"}
FORMATS = {
    "several-keyframes.mp4": ("libx264", H264),
    "one-keyframe.mp4": ("libx264", {"crf": "12", "bf": "3"}),
    "no-b-frames.mp4": ("libx264", {**H264, "bf": "0"}),
    "open-groups.mp4": ("libx264", OPEN),
    "open-groups.mkv": ("libx264", OPEN),
    "matroska.mkv": ("libx264", H264),
    "vp9.webm": ("libvpx-vp9", {"crf": "12", "b": "0", "g": "12"}),
    "av1.mkv": ("libsvtav1", {"crf": "12", "g": "12", "preset": "10"}),
    "transport.ts": ("libx264", H264),
    "interleaved.avi": ("libx264", H264),
    "program.mpg": ("mpeg2video", {"b": "4000000", "g": "12", "bf": "2"}),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Makes the file of one of the formats, once."""
    folder, frames = tmp_path_factory.mktemp("formats"), counting_frames(48, 64)

    def make(name):
        codec, options = FORMATS[name]
        path = folder / name
        return path if path.exists() else write_video(path, frames, codec, options)

    return make


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("decord_there", [True, False])
@pytest.mark.filterwarnings("default")  # some encoders speak up
def test_every_format_shows_the_frames_asked_for(videos, monkeypatch, name, decord_there):
    path = videos(name)
    if not decord_there:
        monkeypatch.setattr(video, "decord", None)
    assert len(Video(path)) == 48
    for wanted in ([0], [47], [24], [3, 24, 46], [11, 12, 13], range(48)):
        assert shown_index(Video(path).frames(wanted)) == list(wanted)


def test_a_reader_can_be_asked_again_and_backwards(videos):
    for name in ("several-keyframes.mp4", "open-groups.mp4"):
        reader = Video(videos(name))
        assert [shown_index(reader.frames([i]))[0] for i in (40, 2, 25, 24, 26)] == [40, 2, 25, 24, 26]


@pytest.mark.parametrize("size", [16, 32, 44, 48, 50, 62])
def test_tiny_images_are_read(tmp_path, size):
    path = write_video(tmp_path / "tiny.mp4", counting_frames(20, size))
    frames = Video(path).frames([0, 5, 19])
    assert frames.shape == (3, size, size, 3)
    assert frames.dtype == np.uint8
    assert shown_index(frames) == [0, 5, 19]


def test_channels_are_red_green_blue(tmp_path):
    red = np.zeros((4, 64, 64, 3), np.uint8)
    red[..., 0] = 250
    path = write_video(tmp_path / "red.mp4", red)
    shown = Video(path).frames([1])
    assert shown[..., 0].mean() > 200
    assert shown[..., 1:].mean() < 20


def read_all(path):
    reader = Video(path)
    return shown_index(reader.frames(range(len(reader))))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "cannot be decoded"),
        ("text.mp4", b"these are words\n" * 99, "cannot be decoded"),
        ("zeros.mkv", bytes(5000), "cannot be decoded"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableVideoError, match=reason) as raised:
        Video(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "nowhere.mp4", tmp_path):
        with pytest.raises(UnreadableVideoError, match=f"{path}: no such file"):
            Video(path)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(UnreadableVideoError, match="no video stream"):
        Video(tmp_path / "sound.mkv")


CONTAINERS = ["several-keyframes.mp4", "open-groups.mp4", "matroska.mkv", "open-groups.mkv", "vp9.webm"]


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8, 0.92])
def test_a_file_cut_off_anywhere_is_noticed(videos, tmp_path, name, share):
    path = tmp_path / name
    whole = videos(name).read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableVideoError, match=str(path)):
        read_all(path)


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_an_interrupted_download_is_noticed(tmp_path, share):
    path = tmp_path / "web.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:  # its index comes first
        stream = container.add_stream("libx264", rate=24, options=H264)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for image in counting_frames(48, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert read_all(path) == list(range(48))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableVideoError, match="is cut off or damaged after"):
        Video(path)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_hole_in_the_middle_is_noticed_by_who_reads_across_it(tmp_path, codec, place):
    noise = np.random.default_rng(0).integers(0, 40, (48, 64, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / "hole.mp4", counting_frames(48, 64) // 2 + noise, codec, {"g": "12"})
    content = bytearray(path.read_bytes())
    middle = int(len(content) * place)
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideoError, match=f"{path}: cannot be decoded"):
        read_all(path)
