"""Pictures: decoded and written anew, so that nothing of the file remains but its pixels.

What goes is all metadata (place, camera, author, thumbnails), colour profiles (applied first, to sRGB), and whatever
was hidden behind the picture's end. What stays is the picture: turned as its camera said, transparency and animation
included.
"""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps, ImageSequence

from app.translation import _
from workers.media.found import Found, Unfit

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MOST_PIXELS = 40_000_000
MOST_FRAMES = 300
MOST_MOVING = 200_000_000  # pixels of all frames together
QUALITY = 92  # of JPEG and WebP: beyond what a person tells apart


def rewrite(source: Path, target: Path) -> Found:
    """Write the picture anew; photographs as JPEG, what moves as WebP, all others as PNG.

    :raises Unfit: too large. Broken ones raise whatever their decoder meets.
    """
    Image.MAX_IMAGE_PIXELS = None  # our own bound is lower, and looked at before anything is decoded
    with Image.open(source, formats=FORMATS) as image:
        frames = _within_bounds(image)
        return _moving(image, target) if frames > 1 else _still(image, target)


def _within_bounds(image: Image.Image) -> int:
    """How many frames it has.

    :raises Unfit: more pixels or frames than are decoded.
    """
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        told = {"width": image.width, "height": image.height, "most": MOST_PIXELS // 1_000_000}
        raise Unfit(_("it has {width} × {height} pixels; at most {most} million are shown").format(**told))
    frames = int(getattr(image, "n_frames", 1))
    if frames > MOST_FRAMES or frames * pixels > MOST_MOVING:
        raise Unfit(_("it moves too long: {frames} frames").format(frames=frames))
    return frames


def _still(image: Image.Image, target: Path) -> Found:
    is_photograph = image.format == "JPEG"
    image.load()
    clean = _bare(_in_srgb(_of_eight_bits(ImageOps.exif_transpose(image))))
    if is_photograph:
        clean.convert("RGB").save(target, "JPEG", quality=QUALITY, subsampling=0, optimize=True, progressive=True)
        return Found("image", "image/jpeg", clean.width, clean.height)
    clean.save(target, "PNG", optimize=True)
    return Found("image", "image/png", clean.width, clean.height)


def _moving(image: Image.Image, target: Path) -> Found:
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        whole = _of_eight_bits(frame).convert("RGBA")  # decodes it, after which some formats know how long it lasts
        frames.append(_bare(whole))
        durations.append(max(20, int(frame.info.get("duration", 100))))  # faster than 50 a second is a flicker
    loop = int(image.info.get("loop", 0))
    first, rest = frames[0], frames[1:]
    first.save(target, "WEBP", save_all=True, append_images=rest, duration=durations, loop=loop, quality=QUALITY)
    return Found("image", "image/webp", first.width, first.height)


def _of_eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 bits by their upper half: converting alone would make all but the darkest white."""
    if not image.mode.startswith("I"):
        return image
    grey = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    grey.info = dict(image.info)
    if isinstance(grey.info.get("transparency"), int):
        grey.info["transparency"] >>= 8
    return grey


def _in_srgb(image: Image.Image) -> Image.Image:
    """The colours that its profile means; a profile that cannot be read means nothing."""
    profile = image.info.get("icc_profile")
    mode = "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
    plain = image if image.mode in ("1", "L", "LA") and not profile else image.convert(mode)
    if not profile or image.mode not in ("RGB", "RGBA"):
        return plain
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        turned = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except ImageCms.PyCMSError:
        return plain
    return turned or plain


def _bare(image: Image.Image) -> Image.Image:
    """Pixels alone: what an encoder would carry over from `info` is left behind."""
    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    return bare
