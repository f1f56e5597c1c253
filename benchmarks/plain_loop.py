"""The training loop of the seed in plain PyTorch, the baseline of `bench_training.py`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from dcgan.core.images import Pixels

BATCH = 64


def plain_networks(device: torch.device) -> tuple[nn.Sequential, nn.Sequential]:
    """Generator and discriminator of the seed, as nn.Sequential."""
    up = [nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False), nn.BatchNorm2d(512), nn.ReLU(True)]
    for width in (512, 256, 128):
        up += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(True),
        ]
    generator = nn.Sequential(*up, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())

    down = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for width in (64, 128, 256):
        down += [
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2, True),
        ]
    discriminator = nn.Sequential(*down, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid())

    for network in (generator, discriminator):
        for module in network:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
    return generator.to(device), discriminator.to(device)


def plain_loop(images: Pixels, device: torch.device) -> Callable[[], None]:
    """Returns the seed's loop: fp32, nn.Sequential, sigmoid and BCELoss, default Adam, .item()."""
    generator, discriminator = plain_networks(device)
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCELoss()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def step() -> None:
        real = pixels[torch.randperm(len(pixels))[:BATCH]].to(device).float() / 127.5 - 1.0
        real = nn.functional.interpolate(real, size=64, mode="bilinear")
        ones = torch.ones(BATCH, device=device)
        zeros = torch.zeros(BATCH, device=device)

        # Update D.
        discriminator.zero_grad()
        loss_real = criterion(discriminator(real).view(-1), ones)
        loss_real.backward()
        fake = generator(torch.randn(BATCH, 100, 1, 1, device=device))
        loss_fake = criterion(discriminator(fake.detach()).view(-1), zeros)
        loss_fake.backward()
        adam_d.step()

        # Update G.
        generator.zero_grad()
        loss = criterion(discriminator(fake).view(-1), ones)
        loss.backward()
        adam_g.step()
        (loss_real.item(), loss_fake.item(), loss.item())

    return step
