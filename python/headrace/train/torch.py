# SPDX-License-Identifier: Apache-2.0
"""TorchTrainer: the workers are a torch.distributed process group, gloo on CPUs and nccl on GPUs."""

import dataclasses
import os

from .ports import free_ports
from .session import call_loop, local_rank, world_rank, world_size
from .trainer import DataParallelTrainer


@dataclasses.dataclass
class TorchConfig:
    """backend: 'gloo', 'nccl'; None: by whether GPUs are used. timeout_s: of one collective call."""
    backend: str = None
    timeout_s: float = 1800.0


class TorchTrainer(DataParallelTrainer):
    """A DataParallelTrainer whose workers are a process group from before the loop until after it. prepare_model(model) in the
    loop makes the gradients common. Workers step together: where an epoch's last step is not full its rows are repeated, unless
    a DatasetConfig's tail says otherwise."""
    _steps_together = True

    def __init__(self, train_loop_per_worker, *, torch_config=None, **options):
        super().__init__(train_loop_per_worker, **options)
        self.torch_config = torch_config or TorchConfig()

    def training_loop(self):
        return _Loop(self.train_loop_per_worker, self.torch_config, self.scaling_config.use_gpu), self.train_loop_config


class _Loop:
    """What runs in a worker: the user's loop within a process group."""

    def __init__(self, loop, config, use_gpu):
        self.loop, self.config, self.use_gpu = loop, config, use_gpu
        self.port = free_ports(1)[0]

    def __call__(self, config):
        import datetime

        import torch
        import torch.distributed as group
        rank, size = world_rank(), world_size()
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(self.port), RANK=str(rank), WORLD_SIZE=str(size),
                          LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(size), NODE_RANK='0')
        if 'OMP_NUM_THREADS' not in os.environ:  # the workers share the machine
            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // size))
        gpu = self.use_gpu and torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(get_device())
        group.init_process_group(self.config.backend or ('nccl' if gpu else 'gloo'), init_method='env://',
                                 timeout=datetime.timedelta(seconds=self.config.timeout_s))
        call_loop(self.loop, config)
        group.destroy_process_group()  # after a failure it goes with the process, when the failure is told: others notice


def get_device():
    """This worker's device."""
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return torch.device('cuda', local_rank() % count) if count else torch.device('cpu')


def prepare_model(model, *, move_to_device=True, wrap_ddp=True, **options):
    """The model on this worker's device, and with several workers in DistributedDataParallel (which gets the options)."""
    if move_to_device:
        model = model.to(get_device())
    if wrap_ddp and world_size() > 1 and any(p.requires_grad for p in model.parameters()):
        from torch.nn.parallel import DistributedDataParallel
        model = DistributedDataParallel(model, **options)
    return model
