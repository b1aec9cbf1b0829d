"""Decoding: exactly the frames that were asked for, or an error that names the file."""

from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from conftest import counting_frames, shown_index, write_video
from PIL import Image

from ffn import video
from ffn.video import Frames, UnreadableVideoError, Video, template_of

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
    """Makes the file of one of the formats, once.

    In a thread of its own: of root, SVT-AV1 makes the thread that calls it a real-time one of the highest priority,
    which starved all other processes for as long as the tests went on in it.
    """
    folder, frames = tmp_path_factory.mktemp("formats"), counting_frames(48, 64)

    def make(name):
        codec, options = FORMATS[name]
        path = folder / name
        if not path.exists():
            with ThreadPoolExecutor(1) as encoder:
                encoder.submit(write_video, path, frames, codec, options).result()
        return path

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


@pytest.mark.parametrize("size", [64, 48])
def test_damage_that_a_decoder_hides_is_found_by_who_verifies(tmp_path, size):
    noise = np.random.default_rng(0).integers(0, 255, (40, size, size, 3), dtype=np.uint8)
    path = write_video(tmp_path / "flips.mp4", noise, options={"crf": "30", "g": "12"})
    Video(path).verify()
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(content) // 3, len(content) * 2 // 3, 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableVideoError, match=rf"{path}: cannot be decoded"):
        Video(path).verify()


@pytest.mark.parametrize("seed", [0, 3, 4, 5])
def test_damage_within_one_slice_is_found_by_who_verifies(tmp_path, seed):
    noise = np.random.default_rng(0).integers(0, 40, (48, 128, 128, 3), dtype=np.uint8)
    path = write_video(tmp_path / "noisy.mp4", counting_frames(48, 128) // 2 + noise, options={})
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    start = int(rng.integers(len(content) // 10, len(content) * 8 // 10))
    content[start : start + 512] = bytes(512) if seed % 2 else rng.bytes(512)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideoError, match=rf"{path}: cannot be decoded \(frame \d+ is damaged\)"):
        Video(path).verify()


@pytest.mark.parametrize("size", [64, 48])
def test_a_relative_path_may_have_a_colon(tmp_path, monkeypatch, size):
    monkeypatch.chdir(tmp_path)
    path = write_video(tmp_path / "12:30" / "9:15.mp4", counting_frames(4, size)).relative_to(tmp_path)
    assert read_all(path) == list(range(4))
    Video(path).verify()


def remuxed(path, other, start=0):
    """The video in another file, from a frame on, without encoding it anew."""
    with av.open(str(path)) as source, av.open(str(other), "w") as target:
        own = source.streams.video[0]
        stream, shift = target.add_stream_from_template(own), round(start / 24 / own.time_base)
        for packet in source.demux(own):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                target.mux(packet)
    return other


@pytest.mark.parametrize("size", [64, 48])
def test_a_video_that_was_cut_out_of_another_without_encoding_begins_where_it_was_cut(tmp_path, size):
    whole = write_video(tmp_path / "whole.mp4", counting_frames(40, size), options={"crf": "12", "g": "40", "bf": "0"})
    assert read_all(remuxed(whole, tmp_path / "cut.mp4", start=30)) == list(range(30, 40))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("decord_there", [True, False])
@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_video_that_players_turn_is_turned(tmp_path, monkeypatch, matrix, turns, decord_there, suffix):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :48] = 250
    path = write_video(tmp_path / "turned.mp4", np.stack([frame] * 4))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44  # of the display matrix
    numbers = (*(round(n * 2**16) for n in matrix[:2]), 0, *(round(n * 2**16) for n in matrix[2:]), 0, 0, 0, 2**30)
    content[place : place + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    path.write_bytes(content)
    if suffix == "mkv":
        path = remuxed(path, path.with_suffix(".mkv"))
    if not decord_there:
        monkeypatch.setattr(video, "decord", None)
    (shown,) = Video(path).frames([2])
    want = np.rot90(frame, turns)
    assert shown.shape == want.shape
    assert np.abs(shown.astype(int) - want).mean() < 4


def test_a_codec_that_nobody_knows_is_named(videos, tmp_path):
    path = tmp_path / "strange.mp4"
    path.write_bytes(videos("several-keyframes.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(UnreadableVideoError, match=f"{path}: "):
        Video(path)


def test_a_name_that_no_file_can_have_is_no_file(tmp_path):
    with pytest.raises(UnreadableVideoError, match="no such file"):
        Video(tmp_path / ("x" * 300 + ".mp4"))


def test_a_path_that_is_not_utf_8_is_read(videos, tmp_path, not_unicode):
    path = tmp_path / f"{not_unicode}.mp4"
    path.write_bytes(videos("several-keyframes.mp4").read_bytes())
    assert read_all(path) == list(range(48))


@pytest.mark.parametrize(
    ("names", "want"),
    [
        ("img_00001.jpg img_00002.jpg flow_x_00001.jpg flow_y_00001.jpg flow_x_00002.jpg", "img_{:05d}.jpg"),
        ("flow_x_00001.jpg flow_x_00002.jpg flow_y_00001.jpg", "flow_x_{:05d}.jpg"),
        ("cover.jpg a1.png img_7.jpg img_10.jpg", "img_{:01d}.jpg"),
        ("1.jpg 2.jpg 10.jpg", "{:01d}.jpg"),
        ("00001.png 00002.png 1.png", "{:05d}.png"),
        ("98.png 99.png 08.png 100.png 101.png 102.png 103.png", "{:02d}.png"),
        ("flower_1.jpg flower_2.jpg thumb_1.jpg", "flower_{:01d}.jpg"),
        (".x1.jpg notes.txt", ""),
    ],
)
def test_the_names_of_most_images_are_the_template_but_optical_flow_is_none(names, want):
    assert template_of(names.split()) == want


def test_every_frame_of_a_folder_is_there_and_of_one_size(tmp_path):
    frames = counting_frames(9)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(tmp_path / f"{number:05d}.png")
    Frames(tmp_path).verify()
    Image.fromarray(frames[0][:40]).save(tmp_path / "00005.png")
    with pytest.raises(UnreadableVideoError, match=r"several sizes, \[\(48, 40\), \(48, 48\)\] pixels"):
        Frames(tmp_path).verify()
    for gone in ("00005", "00001"):
        Image.fromarray(frames[0]).save(tmp_path / "00005.png")
        (tmp_path / f"{gone}.png").unlink()
        for count in (None, 8):
            with pytest.raises(UnreadableVideoError, match=rf"{gone}.png: no such frame"):
                Frames(tmp_path, count)


def test_sixteen_bits_of_grey_are_its_upper_eight(tmp_path):
    Image.fromarray(np.full((8, 8), 100 * 256 + 7, np.uint16)).save(tmp_path / "1.png")
    assert np.unique(Frames(tmp_path).frames([0])) == [100]


def test_an_image_that_says_it_is_enormous_is_named(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "1.jpg")
    content = bytearray((tmp_path / "1.jpg").read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = (32000).to_bytes(2, "big") * 2
    (tmp_path / "1.jpg").write_bytes(content)
    for read in (Frames.verify, lambda frames: frames.frames([0])):
        with pytest.raises(UnreadableVideoError, match=r"1.jpg: cannot be decoded"):
            read(Frames(tmp_path))
