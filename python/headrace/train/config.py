# SPDX-License-Identifier: Apache-2.0
"""What a trainer is told: how many workers."""

import dataclasses


@dataclasses.dataclass
class ScalingConfig:
    """How many workers. use_gpu, resources and placement are accepted and do nothing on one machine."""
    num_workers: int = 1
    use_gpu: bool = False
    resources_per_worker: dict = None
    trainer_resources: dict = None
    placement_strategy: str = 'PACK'

    def __post_init__(self):
        gpus = (self.resources_per_worker or {}).get('GPU', 0)
        if bool(gpus) != self.use_gpu and gpus:
            raise ValueError(f'use_gpu is {self.use_gpu} and resources_per_worker asks for {gpus} GPUs')
        if self.num_workers < 1:
            raise ValueError(f'num_workers {self.num_workers}: at least one')

    @classmethod
    def of(cls, config):
        if config is None or isinstance(config, cls):
            return config or cls()
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in dict(config).items() if k in known})
