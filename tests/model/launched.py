"""The training stage as the tests launch it: a checkpoint after every step, FSDP on the CPU, a death on demand."""

import os
import sys

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from luau_rft.errors import run
from luau_rft.model import checkpoints
from stages import train
from tests.model.killed import die

if __name__ == "__main__":
    checkpoints.EVERY_S, checkpoints.SAVING_SHARE = 0.0, 1e9
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        # torch shards a model on the CPU, too, which accelerate offers for GPUs alone: this is to it a GPU.
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
        torch.distributed.init_process_group("gloo")
        PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
    name, moment, step = sys.argv[1:4]
    if os.environ["RANK"] == "0":
        die(moment, int(step))
    sys.argv[1:] = [name]
    run(train.main)
