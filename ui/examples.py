"""Example images and questions for the app: synthetic phantoms, made when the app starts."""

from pathlib import Path
from typing import Any

from PIL import Image as PilImage

from overread.imaging.phantoms import Phantom, generate, write
from overread.imaging.render import to_view
from overread.imaging.study import Image, ImageRef

SIZE, ICON_PX = 512, 160
# Domain, number of the synthetic patient (all of the test split), question, what the box says.
EXAMPLES = (
    ("chest-xray", 61881, "Is there a pleural effusion, and on which side?", "Chest X-ray"),
    ("chest-xray", 38138, "Write a report of this image.", "Chest X-ray"),
    ("brain-mr", 4870, "How large is the brain lesion (long axis, mm)?", "Brain MR"),
    ("fundus", 43419, "How tall is the optic cup relative to the optic disc?", "Fundus"),
)


def make_examples(folder: Path) -> list[dict[str, Any]]:
    """Write the example images and their icons, and return them as `gr.Chatbot` wants them."""
    examples = []
    for domain, patient, question, title in EXAMPLES:
        phantom = generate(domain, patient, size=SIZE)
        file = write(phantom, folder)
        icon = folder / f"{phantom.study_id}-icon.png"
        picture = PilImage.fromarray(to_view(_image(phantom)))
        picture.thumbnail((ICON_PX, ICON_PX))
        picture.save(icon)
        examples.append(
            {
                "text": question,
                "display_text": f"{title} (synthetic): {question}",
                "files": [str(file)],
                "icon": str(icon),
            }
        )
    return examples


def _image(phantom: Phantom) -> Image:
    ref = ImageRef(phantom.study_id, "s0", "i0")
    return Image(ref, phantom.pixels, phantom.modality, window=phantom.window)
