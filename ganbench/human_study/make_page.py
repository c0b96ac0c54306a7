"""Makes a human study: an offline HTML page, and its key."""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganbench.counts import count_of
from ganbench.data.base import to_uint8
from ganbench.files import hash_json
from ganbench.visualization.trained_generator import SavedGenerator

from .key import InvalidStudy, Key, StudyArm, StudyItem, Truth

EXAMPLE_COUNT = 10  # training images that the page shows as real
MIN_ITEM_PIXELS = 256  # minimum width of a picture
MIN_SIDE_CSS_PIXELS, MAX_SIDE_CSS_PIXELS = 128, 320  # of a picture on the page
MAX_CSS_PIXELS_PER_PIXEL = 16
StudyArms = Sequence[tuple[StudyArm, Sequence[SavedGenerator]]]  # arms, each with its seeds
Fake = tuple[str, int, Tensor]  # trial, index, image
NamedItem = tuple[str, StudyItem, str]  # name, entry in the key, picture
TRUTHS: tuple[Truth, Truth] = ("fake", "real")
PAGE_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class StudyDesign:
    """The settings of a study."""

    pictures: int = 20  # fakes of each arm, and as many real pictures
    catches: int = 6  # words instead of pictures, half of them REAL
    exposure: int = 500  # milliseconds; 0: until the answer
    seed: int = 0


def make_study(
    suite: str,
    arms: StudyArms,
    design: StudyDesign,
    salt: str,
) -> tuple[Key, str]:
    """Returns the key and the page of a study of arms of one data set.

    `arms` are given with their saved generators. Each arm has its own held-out real pictures, and its own
    fakes, spread over its seeds. `salt` is a secret; the same salt gives the same page. Raises InvalidStudy if the data
    are points, or if there are too few pictures.
    """
    refuse_excess_catches(len(arms), design)
    pictures = StudyPictures(arms, design, salt)
    groups = [
        pictures.make_group(number, truth) for number, _ in enumerate(arms) for truth in TRUTHS
    ]
    catches = [pictures.make_catch(n) for n in range(design.catches)]
    every = [*chain.from_iterable(groups), *catches]
    items = {name: item for name, item, _ in every}
    images = {name: image for name, _, image in every}
    key = Key(
        study=hash_json([suite, images], digits=16),
        suite=suite,
        data=arms[0][0].data,
        exposure=design.exposure,
        seed=design.seed,
        salt=salt,
        arms=[arm for arm, _ in arms],
        items=dict(sorted(items.items())),
        # Sorted, so that the order does not reveal the arms.
        groups=sorted(sorted(name for name, _, _ in group) for group in groups),
        catches=sorted(name for name, _, _ in catches),
    )
    return key, render_study_page(key, images, pictures.example_urls(), pictures.displayed_pixels())


def refuse_excess_catches(arms: int, design: StudyDesign) -> None:
    """Raises InvalidStudy if there are more catch trials than pictures to spread them among."""
    pictures = len(TRUTHS) * arms * design.pictures
    if design.catches > pictures:
        raise InvalidStudy(
            f"{count_of(design.catches, 'catch trial')} cannot be spread among {pictures} pictures: "
            "lower --catches, or raise --pictures"
        )


class StudyPictures:
    """The pictures of a study, by arm, truth and number."""

    def __init__(self, arms: StudyArms, design: StudyDesign, salt: str):
        self.design, self.salt, self.data = design, salt, arms[0][0].data
        self.train, self.held_out = real_images(arms)
        wanted = len(arms) * design.pictures
        if len(self.held_out) < wanted:
            raise InvalidStudy(
                f"{len(arms)} arms of {design.pictures} pictures need {wanted} held-out images, and "
                f"{self.data} has {len(self.held_out)}: lower --pictures"
            )
        random = torch.Generator().manual_seed(design.seed)
        self.chosen = torch.randperm(len(self.held_out), generator=random)[:wanted].tolist()
        self.examples = torch.randperm(len(self.train), generator=random)[:EXAMPLE_COUNT]
        shown = set(self.chosen)
        indices = draw_fake_indices(arms, design, shown, random)
        self.fakes = [
            load_fakes_of_arm(generators, indices[number :: len(arms)], shown)
            for number, (_, generators) in enumerate(arms)
        ]

    def make_group(self, arm: int, truth: Truth) -> list[NamedItem]:
        return [self.make_item(arm, truth, number) for number in range(self.design.pictures)]

    def make_catch(self, number: int) -> NamedItem:
        truth = TRUTHS[number % 2]
        name = self.draw_item_name("catch", number)
        return name, StudyItem(truth=truth), draw_catch_word(truth)

    def make_item(self, arm: int, truth: Truth, number: int) -> NamedItem:
        """Returns an item's name, its entry in the key, and its picture."""
        if truth == "real":
            index = self.chosen[arm * self.design.pictures + number]
            source, image = "held out", self.held_out[index]
        else:
            source, index, image = self.fakes[arm][number]
        item = StudyItem(truth=truth, arm=arm, source=source, index=index)
        return self.draw_item_name(truth, arm, number), item, encode_item(image)

    def draw_item_name(self, *address: str | int) -> str:
        """Returns a name that does not reveal the truth of an item.

        All parts of the hashed text except the salt can be guessed.
        """
        text = json.dumps([self.salt, self.design.seed, self.data, *address])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def displayed_pixels(self) -> int:
        """Returns the side of a picture on the page, in CSS pixels.

        Small pictures stay small, because few pixels are hard to recognize at a large size.
        """
        return max(
            MIN_SIDE_CSS_PIXELS,
            min(MAX_SIDE_CSS_PIXELS, MAX_CSS_PIXELS_PER_PIXEL * self.train.shape[-1]),
        )

    def example_urls(self) -> list[str]:
        return [encode_item(image) for image in self.train[self.examples]]


def real_images(arms: StudyArms) -> tuple[Tensor, Tensor]:
    """Returns the training images and the held-out images.

    Raises InvalidStudy if the data are points.
    """
    arm, (generator, *_) = arms[0]
    if not generator.has_images:
        raise InvalidStudy(f"{arm.data} is {generator.modality.name}: a study needs images")
    evaluator = generator.evaluator
    domain = evaluator.domains[0]
    return evaluator.split.train[domain].images, evaluator.split.held_out[domain].images


def draw_fake_indices(
    arms: StudyArms, design: StudyDesign, shown: set[int], random: torch.Generator
) -> list[int]:
    """Draws the indices of all fakes of a study, each once.

    Fakes with one index share a label, latents or a held-out source, and raters would recognize them. So
    the indices of the real pictures shown come last.
    """
    generator, count = arms[0][1][0], len(arms) * design.pictures
    indices = torch.randperm(generator.evaluator.protocol.fake, generator=random).tolist()
    if len(indices) < count:
        raise InvalidStudy(
            f"{len(arms)} arms of {design.pictures} pictures need {count} fakes of different index, and "
            f"each generator has {len(indices)}: lower --pictures"
        )
    return sorted(indices, key=shown.__contains__)[:count]


def load_fakes_of_arm(
    generators: Sequence[SavedGenerator], indices: Sequence[int], shown: set[int]
) -> list[Fake]:
    """Returns one fake per index, spread over the seeds of an arm."""
    parts = [
        load_fakes(generator, indices[number :: len(generators)], shown)
        for number, generator in enumerate(generators)
    ]
    return list(chain.from_iterable(parts))


def load_fakes(generator: SavedGenerator, indices: Sequence[int], shown: set[int]) -> list[Fake]:
    """Returns the measured fakes at the indices.

    Raises InvalidStudy if a fake is generated from a real picture shown.
    """
    samples = generator.load_samples()
    if samples.source is not None and not shown.isdisjoint(indices):
        raise InvalidStudy(
            f"{generator.trial.variant} generates fakes from held-out images, and {generator.trial.data_name} has "
            f"fewer than {2 * len(shown)} for {len(shown)} fakes and as many real pictures: lower --pictures"
        )
    images = to_uint8(samples.images[list(indices)]).cpu()
    trial = generator.folder.folder.name
    return [(trial, index, image) for index, image in zip(indices, images, strict=True)]


def encode_item(image: Tensor) -> str:  # uint8 [C, H, W]
    """Encodes an image as a PNG data URL, enlarged by an integer factor."""
    pixels = image.expand(3, -1, -1) if len(image) == 1 else image[:3]
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    times = max(1, -(-MIN_ITEM_PIXELS // max(picture.size)))
    picture = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    return image_to_url(picture)


def draw_catch_word(truth: Truth) -> str:
    """Draws the picture of a catch trial: a word with the correct answer."""
    image = Image.new("RGB", (MIN_ITEM_PIXELS, MIN_ITEM_PIXELS), (32, 32, 32))
    font = ImageFont.load_default(MIN_ITEM_PIXELS // 4)
    ImageDraw.Draw(image).text(
        (MIN_ITEM_PIXELS / 2, MIN_ITEM_PIXELS / 2), truth.upper(), "white", font, anchor="mm"
    )
    return image_to_url(image)


def image_to_url(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def render_study_page(
    key: Key, images: Mapping[str, str], examples: Sequence[str], side: int = MAX_SIDE_CSS_PIXELS
) -> str:
    """Renders the page as one HTML file.

    The page does not reveal the truth of items, and loads nothing from the network.
    """
    content: dict[str, Any] = {
        "study": key.study,
        "suite": key.suite,
        "data": key.data,
        "exposure": key.exposure,
        "side": side,
        "groups": key.groups,
        "catches": key.catches,
        "images": dict(sorted(images.items())),
        "examples": list(examples),
    }
    script = (PAGE_FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "TITLE": html.escape(f"Real or fake? {key.data}"),
        "HASH": f"sha256-{digest}",
        "SCRIPT": script,
        "STUDY": escape_for_script(content),
    }
    text = (PAGE_FOLDER / "page.html").read_text(encoding="utf-8")
    return re.sub(r"__([A-Z]+)__", lambda mark: parts[mark[1]], text)


def escape_for_script(content: Any) -> str:
    """Returns JSON that cannot end the script element around it."""
    text = json.dumps(content, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
