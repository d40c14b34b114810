"""Which attention for few queries and many keys? ``OMP_NUM_THREADS=1 python -m experiments.speed.attention``

One layer's attention of a decoding pass: one row, a chain of 6, and a tree of 26 nodes, over 1,000 to 100,000 keys, in
turn, with random numbers in the shape of a real model. A pass of fixed shape has a mask over its whole buffer; one that
takes rows as they come has none for a single row, and on a GPU in half precision none for a chain.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from experiments.common import setting, table
from vsd.models.attention import attention_forward
from vsd.models.tree import ancestors, chain

ROWS = {"one row": 1, "a chain of 6": 6, "a tree of 26": 26}
KEYS = (1_000, 4_000, 25_000, 100_000)

Kernel = Callable[[], Tensor]


def kernels(rows: int, keys: int, args: argparse.Namespace) -> dict[str, Kernel]:
    """The ways to compute the same, by name."""
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    shape = (1, args.heads, rows, args.size), (1, args.key_heads, keys, args.size)
    query, key, value = (torch.randn(one, device=device, dtype=dtype) for one in (shape[0], shape[1], shape[1]))
    tree = chain(rows) if rows < 26 else tuple((node - 1) // 3 for node in range(rows))
    hidden_MC = torch.zeros(rows, keys, dtype=torch.bool, device=device)
    hidden_MC[:, keys - rows :] = ~ancestors(tree).to(device)
    mask = torch.zeros(rows, keys, device=device, dtype=dtype).masked_fill(hidden_MC, torch.finfo(dtype).min)
    folded, scale = mask.repeat(args.heads // args.key_heads, 1)[None, None], args.size**-0.5
    layer = torch.nn.Module()
    ways: dict[str, Kernel] = {
        "fused": lambda: attention_forward(layer, query, key, value, folded, scale, attention="fused")[0],
        "split": lambda: attention_forward(layer, query, key, value, folded, scale, attention="split")[0],
        "fused, heads not folded": lambda: scaled_dot_product_attention(
            query, key, value, attn_mask=mask[None, None], scale=scale, enable_gqa=True
        ),
    }
    if tree == chain(rows):
        ways["no mask"] = lambda: attention_forward(layer, query, key, value, None, scale)[0]
    if args.flex:
        block = flex_mask(hidden_MC)
        compiled = torch.compile(flex_attention, dynamic=False)
        ways["flex"] = lambda: compiled(query, key, value, block_mask=block, scale=scale, enable_gqa=True)
    return ways


def flex_mask(hidden_MC: Tensor) -> BlockMask:
    """Where flex attention looks."""
    rows, keys = hidden_MC.shape
    return create_block_mask(lambda b, h, q, k: ~hidden_MC[q, k], None, None, rows, keys, device=hidden_MC.device)


def milliseconds(ways: dict[str, Kernel], repeats: int) -> dict[str, float]:
    """The median of each, in turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 3):
        for name, kernel in ways.items():
            start = time.perf_counter()
            kernel()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= 3:
                found[name].append(time.perf_counter() - start)
    return {name: 1000 * median(times) for name, times in found.items()}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--dtype", default="bfloat16" if gpu else "float32")
    parser.add_argument("--heads", type=int, default=28, help="of queries (default: 28, as in Qwen2.5-VL-7B)")
    parser.add_argument("--key-heads", type=int, default=4)
    parser.add_argument("--size", type=int, default=128, help="of a head")
    parser.add_argument("--keys", type=int, nargs="+", default=KEYS)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--flex", action="store_true", help="also torch's flex attention, compiled for each shape")
    args = parser.parse_args()
    torch.set_num_threads(1)
    heads = f"{args.heads} heads on {args.key_heads}, {args.size} numbers each"
    print(setting(), f"{args.device}, {args.dtype}, {heads}; milliseconds a layer, median of {args.repeats}.\n")
    rows, names = [], dict[str, None]()
    for keys in args.keys:
        for what, count in ROWS.items():
            found = milliseconds(kernels(count, keys, args), args.repeats)
            names |= dict.fromkeys(found)
            rows.append((keys, what, found))
    cells = [
        [keys, what, *(f"{found[name]:.3f}" if name in found else "–" for name in names)] for keys, what, found in rows
    ]
    print(table(["keys", "pass", *names], cells))


if __name__ == "__main__":
    main()
