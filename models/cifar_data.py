"""Reads the lossless CIFAR-10 sheets used by the training scripts.

A sheet is one RGB picture of 32x32 tiles, 100 tiles per row, row-major; beside
it lies NAME.labels with one byte per tile.
"""
import pathlib

import numpy as np
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CLASSES = ["airplane", "automobile", "bird", "cat", "deer",
           "dog", "frog", "horse", "ship", "truck"]

Image.MAX_IMAGE_PIXELS = None


def read_sheet(path):
    """-> (uint8 [n,32,32,3], uint8 [n])"""
    path = pathlib.Path(path)
    labels = np.fromfile(path.with_suffix(".labels"), dtype=np.uint8)
    sheet = np.asarray(Image.open(path).convert("RGB"))
    rows = sheet.shape[0] // 32
    tiles = sheet.reshape(rows, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4)
    tiles = tiles.reshape(rows * 100, 32, 32, 3)
    return np.ascontiguousarray(tiles[: len(labels)]), labels


def train_set(folder):
    parts = [read_sheet(pathlib.Path(folder) / f"train_{k}.webp") for k in range(1, 6)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def test_set(folder):
    return read_sheet(pathlib.Path(folder) / "test_first2000.webp")


def normalise(u8):
    """uint8 [n,32,32,3] -> float32 [n,3,32,32]"""
    x = (u8.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
