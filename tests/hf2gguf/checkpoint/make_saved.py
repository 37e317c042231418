"""Write the folder ``saved``: files that PyTorch itself makes; run it where torch 2.13 is.

python -m tests.hf2gguf.checkpoint.make_saved
"""

from __future__ import annotations

from pathlib import Path

import torch


def main() -> None:
    folder = Path(__file__).with_name("saved")
    base = torch.arange(24.0).reshape(4, 6)
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 bool float8_e4m3fn".split()
    tensors = {name: base.to(getattr(torch, name)) if name != "bool" else base > 3 for name in kinds}
    tensors |= {"t": base.T, "view": base[1:3], "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 3)}
    tensors |= {"param": torch.nn.Parameter(base.clone()), "col": base[:, 2], "step": base[::2]}
    for protocol in (2, 4):
        torch.save(tensors, folder / f"protocol{protocol}.bin", pickle_protocol=protocol)
    torch.manual_seed(0)
    state = torch.nn.Linear(6, 4).state_dict()
    torch.save(state, folder / "consolidated.00.pth")
    torch.save({"model": state, "epoch": 3, "optimizer": {"lr": 1e-3, "steps": [1, 2]}}, folder / "model.pt")


if __name__ == "__main__":
    main()
