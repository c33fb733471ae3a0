#!/usr/bin/env python3
"""Writes resnet20.onnx and resnet20.preprocess.toml from a checkpoint.

    python export.py --checkpoint RUN_FOLDER/last.pt --out . [--data CIFAR_SHEETS]

With --data the file is run by ONNX Runtime on test images 0..1999 and compared
with PyTorch.
"""
import argparse
import hashlib
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import cifar_data  # noqa: E402
from model import ResNet20  # noqa: E402
from onnx_writer import Graph, fold_bn  # noqa: E402


def export(net, path):
    g = Graph("resnet20", [1, 3, 32, 32])
    x = g.relu(g.conv("input", "stem", *fold_bn(net.conv, net.bn)))
    size = 32
    for k, b in enumerate(net.blocks):
        y = g.relu(g.conv(x, f"block{k}.conv1", *fold_bn(b.conv1, b.bn1), stride=b.stride))
        y = g.conv(y, f"block{k}.conv2", *fold_bn(b.conv2, b.bn2))
        if b.stride != 1:
            x = g.subsample(x, f"block{k}.shortcut", size, b.pad)
            size //= 2
        x = g.relu(g.add(y, x))
    g.head(x, size, net.fc.weight.detach().numpy(), net.fc.bias.detach().numpy())
    g.save(path, 10, "CIFAR-10 ResNet-20 of the hecc project")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--data")
    a = p.parse_args()
    out = pathlib.Path(a.out)
    state = torch.load(a.checkpoint, map_location="cpu", weights_only=False)
    net = ResNet20()
    net.load_state_dict(state["model"])
    net.eval()
    print("epochs", state["epoch"], "seconds", round(state["seconds"]),
          "training accuracy, augmented", state["log"][-1]["train_acc"])
    path = out / "resnet20.onnx"
    export(net, str(path))
    (out / "resnet20.preprocess.toml").write_text(
        "# value = (pixel / 255 - mean) / std, per channel\n"
        f"mean = {list(cifar_data.MEAN)}\nstd = {list(cifar_data.STD)}\n"
        "width = 32\nheight = 32\nchannels = 3          # 3 = RGB, 1 = greyscale\n"
        f"classes = {cifar_data.CLASSES}\n".replace("'", '"'))
    print("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    if a.data:
        import onnxruntime as ort
        opts = ort.SessionOptions()
        opts.intra_op_num_threads = 1
        s = ort.InferenceSession(str(path), opts)
        u8, y = cifar_data.test_set(a.data)
        x = cifar_data.normalise(u8)
        got = np.concatenate([s.run(None, {"input": x[k: k + 1]})[0] for k in range(len(x))])
        torch.set_num_threads(1)
        with torch.no_grad():
            want = torch.cat([net(torch.from_numpy(x[k: k + 100]))
                              for k in range(0, len(x), 100)]).numpy()
        print(f"test 0..{len(y) - 1}: onnxruntime {(got.argmax(1) == y).mean():.4f} "
              f"torch {(want.argmax(1) == y).mean():.4f} "
              f"max |logit difference| {np.abs(got - want).max():.2e} "
              f"max |logit| {np.abs(got).max():.1f}")


if __name__ == "__main__":
    main()
