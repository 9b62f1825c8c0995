"""The readers by the names that cards give them: the one place where a format's name leads to its code."""

from __future__ import annotations

from collections.abc import Mapping

from .coco_json import open_coco
from .deeppcb import open_deeppcb
from .folders import classes_by_folder
from .label import BoxReader, ClassReader
from .labelme import open_labelme
from .lists import classes_by_list
from .masks import open_masks
from .names import classes_by_name
from .voc import open_voc
from .yolo import open_yolo

BOX_READERS: Mapping[str, BoxReader] = {
    "voc": open_voc,
    "yolo": open_yolo,
    "coco": open_coco,
    "labelme": open_labelme,
    "masks": open_masks,
    "deeppcb": open_deeppcb,
}
CLASS_READERS: Mapping[str, ClassReader] = {
    "folders": classes_by_folder,
    "names": classes_by_name,
    "lists": classes_by_list,
}
