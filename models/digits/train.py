#!/usr/bin/env python3
"""Trains the 8x8 digit network and writes digits.onnx and its description.

    python train.py --out FOLDER [--arrays FOLDER] [--epochs 120]

The data are the 1,797 UCI optical digits that ship inside scikit-learn.
Split: permutation of numpy default_rng(0); the first 360 are held out and the
other 1,437 train. --arrays also writes both parts as uint8 .npy files
([n,8,8,1], ink 0..16 scaled to 0..255) with their labels.
"""
import argparse
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from onnx_writer import Graph, fold_bn  # noqa: E402

MEAN, STD = 0.305, 0.376


def data():
    d = load_digits()
    u8 = np.rint(d.images * 255 / 16).astype(np.uint8)[..., None]
    y = d.target.astype(np.uint8)
    p = np.random.default_rng(0).permutation(len(y))
    return (u8[p[360:]], y[p[360:]]), (u8[p[:360]], y[p[:360]])


def normalise(u8):
    x = (u8.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(1, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.c2, self.b2 = nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.c3, self.b3 = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8 * 4, 10)

    def forward(self, x):
        x = F.relu(self.b1(self.c1(x)))
        x = F.relu(self.b2(self.c2(x)))
        x = F.relu(x + self.b3(self.c3(x)))
        return self.fc(F.avg_pool2d(x, 2).flatten(1))


def shift(x, gen):
    """Random translation by -1..1 pixels (background = 0 ink)."""
    n = len(x)
    bg = (0 - MEAN) / STD
    p = F.pad(x, (1, 1, 1, 1), value=bg)
    r = torch.arange(8)
    rows = torch.randint(0, 3, (n, 1), generator=gen) + r
    cols = torch.randint(0, 3, (n, 1), generator=gen) + r
    return p[torch.arange(n)[:, None, None], 0, rows[:, :, None], cols[:, None, :]][:, None]


def export(net, path):
    g = Graph("digits", [1, 1, 8, 8])
    x = g.relu(g.conv("input", "conv1", *fold_bn(net.c1, net.b1)))
    x = g.relu(g.conv(x, "conv2", *fold_bn(net.c2, net.b2), stride=2))
    x = g.relu(g.add(x, g.conv(x, "conv3", *fold_bn(net.c3, net.b3))))
    g.head(x, 2, net.fc.weight.detach().numpy(), net.fc.bias.detach().numpy())
    g.save(path, 10, "8x8 digit network of the hecc project")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--arrays")
    p.add_argument("--epochs", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    out = pathlib.Path(a.out)
    (xu, y), (tu, ty) = data()
    if a.arrays:
        arr = pathlib.Path(a.arrays)
        arr.mkdir(parents=True, exist_ok=True)
        for name, images, labels in (("train", xu, y), ("test", tu, ty)):
            np.save(arr / f"digits_{name}_u8.npy", images)
            np.save(arr / f"digits_{name}_labels.npy", labels)

    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    gen = torch.Generator().manual_seed(a.seed)
    x, yt = torch.from_numpy(normalise(xu)), torch.from_numpy(y.astype(np.int64))
    t, tt = torch.from_numpy(normalise(tu)), torch.from_numpy(ty.astype(np.int64))
    print(f"train ink mean {xu.mean() / 255:.3f} std {xu.std() / 255:.3f}")
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True,
                          weight_decay=5e-4)
    per = len(x) // 64
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=per * a.epochs)
    for epoch in range(a.epochs):
        net.train()
        order = torch.randperm(len(x), generator=gen)
        for k in range(per):
            i = order[k * 64: k * 64 + 64]
            loss = F.cross_entropy(net(shift(x[i], gen)), yt[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
    net.eval()
    with torch.no_grad():
        print("epochs", a.epochs, "last loss", float(loss))
        print("train accuracy", float((net(x).argmax(1) == yt).float().mean()))
        print("held-out accuracy", float((net(t).argmax(1) == tt).float().mean()))
        export(net, out / "digits.onnx")
        import onnxruntime as ort
        s = ort.InferenceSession(str(out / "digits.onnx"))
        got = np.concatenate([s.run(None, {"input": t[k: k + 1].numpy()})[0]
                              for k in range(len(t))])
        print("onnxruntime held-out accuracy", (got.argmax(1) == ty).mean(),
              "max |logit difference|", np.abs(got - net(t).numpy()).max(),
              "max |logit|", np.abs(got).max())
    (out / "digits.preprocess.toml").write_text(
        "# value = (pixel / 255 - mean) / std, per channel\n"
        f"mean = [{MEAN}]\nstd = [{STD}]\nwidth = 8\nheight = 8\n"
        "channels = 1          # 3 = RGB, 1 = greyscale\n"
        'classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]\n')


if __name__ == "__main__":
    main()
