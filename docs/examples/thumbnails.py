"""Thumbnails of a folder of pictures: blocking code in threads, the answers in the order of the names.

A file that is no picture is the failure of its own request, and of no other.
"""

import tempfile
from pathlib import Path

import trio
from attrs import frozen
from PIL import Image

from trio_jobs import Failed, Succeeded, open_processor, thread_job


@frozen
class Gallery:
    """Where the pictures are, and where their thumbnails go."""

    pictures: Path
    thumbnails: Path


@thread_job
def thumbnail(name: str, gallery: Gallery) -> tuple[tuple[int, int], tuple[int, int]]:
    """Scale a picture to fit into 128 x 128 pixels, and return its old and its new size."""
    with Image.open(gallery.pictures / name) as image:
        old = image.size
        image.thumbnail((128, 128))
        image.save(gallery.thumbnails / name)
        return old, image.size


async def make_thumbnails(gallery: Gallery) -> None:
    names = sorted(path.name for path in gallery.pictures.iterdir())
    async with open_processor(thumbnail, resources=gallery, concurrency=4) as processor:
        async with processor.map(names, ordered=True) as responses:
            for name in names:
                match await responses.receive():
                    case Succeeded(value=((width, height), (new_width, new_height))):
                        print(f"{name:13}{width:5} x {height:<4} -> {new_width:3} x {new_height}")
                    case Failed(error):
                        print(f"{name:13}failed: {error.type_name}")
                    case aborted:
                        print(f"{name:13}aborted: {aborted.reason.value}")


def draw_pictures(folder: Path) -> None:
    for name, size in {"alps.jpg": (1600, 1200), "tower.png": (300, 900), "icon.png": (32, 32)}.items():
        Image.new("RGB", size, "steelblue").save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no picture at all")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(Path(folder, "pictures"), Path(folder, "thumbnails"))
        gallery.pictures.mkdir()
        gallery.thumbnails.mkdir()
        draw_pictures(gallery.pictures)
        trio.run(make_thumbnails, gallery)
        print("made:", *sorted(path.name for path in gallery.thumbnails.iterdir()))


if __name__ == "__main__":
    main()
