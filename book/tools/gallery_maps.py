"""Work out the maps of the gallery's photographs and keep them beside these.

    python -m book.tools.gallery_maps --weights weights/mobilenet_v2_imagenet.safetensors

The page draws what is kept, so that it needs neither weights nor a network. A test works the maps
out again where the weights are at hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def kept(weights: Path) -> dict[str, Any]:
    """Return what the network makes of each photograph, ready for JSON."""
    from alignbook import gallery

    network = gallery.imagenet(weights)
    found = {}
    for one in (gallery.look(network, each) for each in gallery.photographs()):
        found[one.name] = {
            "answer": one.answer,
            "probability": round(one.probability, 4),
            "evidence": [[float(f"{value:.4g}") for value in row] for row in one.evidence.tolist()],
        }
    return found


def main() -> int:
    from alignbook import gallery

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="in torchvision's layout")
    found = kept(parser.parse_args().weights)
    lines = (f"{json.dumps(name)}: {json.dumps(said)}" for name, said in found.items())
    gallery.MAPS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"kept the maps of {len(found)} photographs in {gallery.MAPS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
