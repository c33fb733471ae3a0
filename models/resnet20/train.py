#!/usr/bin/env python3
"""Trains the CIFAR-10 ResNet-20 from random initialisation, on CPU cores.

    python train.py --data CIFAR_SHEETS --out RUN_FOLDER [--epochs 50]
    python train.py --data ... --out RUN_FOLDER --resume
    python train.py --data ... --out RUN_FOLDER --resume --anneal 6

Each worker process holds one torch thread and half (1/workers) of every batch;
gradients are averaged with gloo. The state (weights, optimiser, schedule,
epoch) is written to RUN_FOLDER/last.pt after every epoch, atomically.
--anneal N drops the rest of the schedule and instead lowers the learning rate
linearly to its end value over the next N epochs; with --peak P it first climbs
to P within one epoch, which continues a finished run.
Only training images are read.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import cifar_data  # noqa: E402
from model import ResNet20  # noqa: E402


def lr_at(knots, epoch):
    """Piecewise linear in the (fractional) epoch."""
    return float(np.interp(epoch, [k[0] for k in knots], [k[1] for k in knots]))


def batch(padded, labels, idx, gen, mean, std):
    """Random crop out of the padded image and random flip, in one gather."""
    n = len(idx)
    dy = torch.randint(0, 9, (n, 1), generator=gen)
    dx = torch.randint(0, 9, (n, 1), generator=gen)
    flip = torch.randint(0, 2, (n, 1), generator=gen).bool()
    r = torch.arange(32)
    rows = dy + r
    cols = dx + torch.where(flip, 31 - r, r)
    x = padded[idx[:, None, None], rows[:, :, None], cols[:, None, :]]
    x = (x.float() / 255 - mean) / std
    return x.permute(0, 3, 1, 2), labels[idx]  # NCHW view, channels-last memory


def save(path, state):
    tmp = path.with_suffix(".tmp")
    torch.save(state, tmp)
    os.replace(tmp, path)


def worker(rank, world, a):
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    dist.init_process_group("gloo", rank=rank, world_size=world,
                            init_method=f"tcp://127.0.0.1:{a.port}")
    out = pathlib.Path(a.out)
    padded = torch.from_numpy(np.load(out / "padded.npy", mmap_mode="c"))
    labels = torch.from_numpy(np.load(out / "labels.npy").astype(np.int64))
    mean, std = torch.tensor(cifar_data.MEAN), torch.tensor(cifar_data.STD)

    model = ResNet20().to(memory_format=torch.channels_last)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    opt = torch.optim.SGD([{"params": decay, "weight_decay": a.weight_decay},
                           {"params": plain, "weight_decay": 0.0}],
                          lr=0.1, momentum=0.9, nesterov=True)
    params = decay + plain
    knots = [(0, a.lr / 20), (a.warmup, a.lr), (a.epochs, a.lr / 1000)]
    start, seconds, log = 0, 0.0, []
    if a.resume:
        s = torch.load(out / "last.pt", map_location="cpu", weights_only=False)
        model.load_state_dict(s["model"])
        opt.load_state_dict(s["opt"])
        start, knots, seconds, log = s["epoch"], s["knots"], s["seconds"], s["log"]
        if a.anneal:
            tail = [(start, lr_at(knots, start))]
            if a.peak:
                tail.append((start + 1, a.peak))
            knots = [k for k in knots if k[0] < start] + tail + [
                (start + a.anneal, a.lr / 1000)]
    end = int(knots[-1][0])
    if rank == 0:
        print("knots", knots, "start", start, flush=True)

    per = a.batch // world
    steps = len(labels) // a.batch
    for epoch in range(start, end):
        t0 = time.time()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(
            a.seed * 1000003 + epoch))
        gen = torch.Generator().manual_seed((a.seed * 1000003 + epoch) * 64 + rank + 1)
        model.train()
        loss_sum, hits = torch.zeros(()), torch.zeros(())
        for k in range(steps):
            lr = lr_at(knots, epoch + k / steps)
            for g in opt.param_groups:
                g["lr"] = lr
            lo = k * a.batch + rank * per
            x, y = batch(padded, labels, order[lo: lo + per], gen, mean, std)
            with torch.autocast("cpu", torch.bfloat16):
                z = model(x)
            z = z.float()
            loss = F.cross_entropy(z, y, label_smoothing=a.smooth)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            flat = torch.cat([p.grad.reshape(-1) for p in params])
            dist.all_reduce(flat)
            flat /= world
            at = 0
            for p in params:
                p.grad.copy_(flat[at: at + p.numel()].view(p.shape))
                at += p.numel()
            opt.step()
            loss_sum += loss.detach()
            hits += (z.argmax(1) == y).sum()
            if rank == 0 and k % 50 == 49:
                print(f"epoch {epoch} step {k + 1}/{steps} loss {loss_sum / (k + 1):.4f} "
                      f"{(k + 1) * a.batch / (time.time() - t0):.0f} img/s", flush=True)
        # every worker saw its own BatchNorm statistics: average them
        stats = [b for b in model.buffers() if b.dtype.is_floating_point]
        tail = torch.cat([b.reshape(-1) for b in stats] + [loss_sum.view(1), hits.view(1)])
        dist.all_reduce(tail)
        at = 0
        for b in stats:
            b.copy_(tail[at: at + b.numel()].view(b.shape) / world)
            at += b.numel()
        dt = time.time() - t0
        seconds += dt
        row = dict(epoch=epoch, lr=lr, loss=float(tail[-2]) / world / steps,
                   train_acc=float(tail[-1]) / (steps * per * world), seconds=round(dt, 1))
        log.append(row)
        if rank == 0:
            print(json.dumps(row), flush=True)
            state = dict(model=model.state_dict(), opt=opt.state_dict(), epoch=epoch + 1,
                         knots=knots, seconds=seconds, log=log, args=vars(a))
            save(out / "last.pt", state)
            if (epoch + 1) % 10 == 0 or epoch + 1 == end:
                save(out / f"epoch{epoch + 1}.pt", state)
        dist.barrier()
    if rank == 0:
        print(f"done {end} epochs, {seconds / 3600:.2f} h", flush=True)
    dist.destroy_process_group()


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder with train_1..5.webp and .labels")
    p.add_argument("--out", required=True, help="run folder for checkpoints")
    p.add_argument("--epochs", type=int, default=50)
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--lr", type=float, default=0.4)
    p.add_argument("--warmup", type=float, default=4)
    p.add_argument("--weight-decay", type=float, default=5e-4)
    p.add_argument("--smooth", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--port", type=int, default=29517)
    p.add_argument("--resume", action="store_true")
    p.add_argument("--anneal", type=int, default=0)
    p.add_argument("--peak", type=float, default=0.0)
    a = p.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "labels.npy").exists():
        x, y = cifar_data.train_set(a.data)
        np.save(out / "padded.npy", np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect"))
        np.save(out / "labels.npy", y)
    if a.workers == 1:
        worker(0, 1, a)
    else:
        mp.spawn(worker, (a.workers, a), nprocs=a.workers)


if __name__ == "__main__":
    main()
